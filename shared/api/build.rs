//! Compiles `proto/` without protoc, into message types, clients, servers, the descriptor set that reflection serves, and the table of all
//! methods with what each asks of its callers.

use std::fmt::Write;
use std::{env, fs, path::Path, path::PathBuf};

use protox::prost_reflect::prost_types::FileDescriptorSet;
use protox::prost_reflect::{DynamicMessage, MethodDescriptor, ServiceDescriptor, Value};

/// Services whose answers hold views.
const STORED_FILES: [&str; 2] =
    ["tally/orders/v1/order_query_service.proto", "tally/allocation/v1/allocation_query_service.proto"];
/// Those answers, and what stands for them in a server.
const STORED_MESSAGES: [(&str, &str); 2] = [
    (".tally.orders.v1.GetOrderResponse", "crate::stored::GetOrderResponse"),
    (".tally.allocation.v1.GetStockResponse", "crate::stored::GetStockResponse"),
];

/// The option of a method that says who may call it.
const ACCESS: &str = "tally.access.v1.access";
/// See `src/codec.rs`.
const CODEC: &str = "crate::SmallMessages";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    generate(root, &PathBuf::from(env::var("OUT_DIR")?))
}

/// All of it, from the protos below `root`.
pub(crate) fn generate(root: &Path, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<PathBuf> = proto_files(&root.join("tally"))?;
    let mut compiler = protox::Compiler::new([root.to_path_buf(), root.join("third_party")])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();
    fs::write(out.join("tally.bin"), compiler.encode_file_descriptor_set())?;
    fs::write(out.join("methods.rs"), methods(compiler.descriptor_pool().services())?)?;

    let generator = tonic_prost_build::configure().codec_path(CODEC).out_dir(out).include_file("tally.rs");
    generator.compile_fds(descriptors.clone())?;
    stored(descriptors, &out.join("stored"))
}

/// Once more the services whose answers hold views, with answers that hold them as they are stored: see `src/stored.rs`.
fn stored(mut descriptors: FileDescriptorSet, out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(out)?;
    descriptors.file.retain(|file| STORED_FILES.contains(&file.name()));
    let mut configuration = tonic_prost_build::configure()
        .codec_path(CODEC)
        .build_client(false)
        .out_dir(out)
        .include_file("tally.rs")
        .extern_path(".tally", "crate")
        .extern_path(".google.type", "crate::google::r#type");
    for (message, stored) in STORED_MESSAGES {
        configuration = configuration.extern_path(message, stored);
    }
    Ok(configuration.compile_fds(descriptors)?)
}

/// The table of methods as an expression.
fn methods(services: impl Iterator<Item = ServiceDescriptor>) -> Result<String, Box<dyn std::error::Error>> {
    let mut table = String::from("&[\n");
    for service in services {
        for method in service.methods() {
            let (scope, customer) = access(&method)?;
            writeln!(
                table,
                "Method {{ path: \"/{service}/{name}\", service: \"{service}\", name: \"{name}\", streams: {streams}, scope: {scope:?}, \
                 customer: CustomerAccess::{customer} }},",
                service = service.full_name(),
                name = method.name(),
                streams = method.is_server_streaming(),
            )?;
        }
    }
    table.push(']');
    Ok(table)
}

/// The scope that a method asks for, and what it is to a token that is bound to a customer.
fn access(method: &MethodDescriptor) -> Result<(String, &'static str), String> {
    let missing = || {
        format!(
            "{} says nothing about who may call it: add  option (tally.access.v1.access) = {{scope: \"…\"}};",
            method.full_name()
        )
    };
    let extension = method.parent_pool().get_extension_by_name(ACCESS).ok_or_else(missing)?;
    let options = method.options();
    let access: &DynamicMessage = match options.get_extension(&extension).as_ref() {
        Value::Message(access) => &access.clone(),
        _ => return Err(missing()),
    };
    let scope = access.get_field_by_name("scope").and_then(|scope| scope.as_str().map(str::to_owned));
    let scope = scope.filter(|scope| !scope.is_empty()).ok_or_else(missing)?;
    let customer = match access.get_field_by_name("customer").and_then(|customer| customer.as_enum_number()) {
        Some(1) => "Own",
        Some(2) => "Public",
        _ => "None",
    };
    Ok((scope, customer))
}

fn proto_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(proto_files(&path)?);
        } else if path.extension().is_some_and(|ext| ext == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
