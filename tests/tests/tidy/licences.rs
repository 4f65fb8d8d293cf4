//! Nothing comes in whose licence asks more than to be named.

use super::dependencies::packages;

/// Licences that are permissive.
const PERMISSIVE: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];
/// Permissive too, and so named apart: public domain by another name.
const PUBLIC_DOMAIN: [&str; 2] = ["Unlicense", "MIT-0"];

/// Whether an SPDX expression can be met with permissive licences alone.
fn is_permissive(expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = tokens.as_slice();
    let result = any_of(&mut rest);
    assert!(rest.is_empty(), "not understood: {expression}");
    result
}

fn any_of(rest: &mut &[&str]) -> bool {
    let mut result = all_of(rest);
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        result |= all_of(rest);
    }
    result
}

fn all_of(rest: &mut &[&str]) -> bool {
    let mut result = one(rest);
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        result &= one(rest);
    }
    result
}

fn one(rest: &mut &[&str]) -> bool {
    match *rest {
        ["(", after @ ..] => {
            *rest = after;
            let result = any_of(rest);
            assert_eq!(rest.first(), Some(&")"));
            *rest = &rest[1..];
            result
        }
        [licence, "WITH", exception, after @ ..] => {
            *rest = after;
            PERMISSIVE.contains(&format!("{licence} WITH {exception}").as_str())
        }
        [licence, after @ ..] => {
            *rest = after;
            PERMISSIVE.contains(licence) || PUBLIC_DOMAIN.contains(licence)
        }
        [] => panic!("an expression ends too early"),
    }
}

#[test]
fn every_dependency_is_permissive() {
    let mut count = 0;
    for package in packages() {
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{} names no licence", package["name"]));
        assert!(is_permissive(licence), "{} {}: {licence}", package["name"], package["version"]);
        count += 1;
    }
    assert!(count > 100, "the dependencies are there: {count}");
}

/// What deny.toml bans, too; this needs no further tool.
#[test]
fn nothing_comes_in_that_is_banned() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        assert!(
            !["openssl", "openssl-sys", "native-tls", "rsa", "aws-lc-sys"].contains(&name),
            "{name}: see deny.toml"
        );
    }
}

#[test]
fn an_expression_is_understood() {
    for good in [
        "MIT",
        "MIT OR Apache-2.0",
        "MIT/GPL-3.0",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "GPL-2.0 OR (ISC AND Apache-2.0 WITH LLVM-exception)",
    ] {
        assert!(is_permissive(good), "{good}");
    }
    for bad in ["GPL-3.0-only", "MIT AND MPL-2.0", "(MIT OR ISC) AND LGPL-2.1", "Apache-2.0 WITH Other-exception"] {
        assert!(!is_permissive(bad), "{bad}");
    }
}
