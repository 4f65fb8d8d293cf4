//! Builds again when a migration is added: the macro that embeds them only notices changes to those it knows.

#![allow(clippy::print_stdout)]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
