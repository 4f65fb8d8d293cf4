//! deploy/README.md: what its commands name is there.

use prost_reflect::DescriptorPool;
use system_tests::root;

use super::rendered::overlays;

/// The words of the README, without what Markdown and shells put around them.
fn words() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("deploy/README.md")).unwrap();
    let around = |c: char| !c.is_ascii_alphanumeric() && c != '/';
    let split = text.split(|c: char| c.is_whitespace() || "()[]\"'`".contains(c));
    split.map(|word| word.trim_matches(around).to_owned()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn every_file_that_it_names_is_there() {
    let words = words();
    let named: Vec<&String> = words.iter().filter(|word| word.starts_with("deploy/")).collect();
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[test]
fn every_object_that_it_names_is_in_an_overlay() {
    let mut named = 0;
    for (prefix, kind) in [("deployment/", "Deployment"), ("service/", "Service"), ("job/", "Job")] {
        for name in words().iter().filter_map(|word| word.strip_prefix(prefix)) {
            let is_there = overlays().iter().any(|overlay| overlay.find(kind, name).is_some());
            assert!(is_there || overlays().is_empty(), "{kind} {name}");
            named += 1;
        }
    }
    assert!(named > 8, "{named}");
}

#[test]
fn every_call_that_it_shows_is_in_the_api() {
    let pool = DescriptorPool::decode(tally_api::FILE_DESCRIPTOR_SET).unwrap();
    let words = words();
    let calls =
        words.iter().filter_map(|word| word.split_once('/')).filter(|(service, _)| service.starts_with("tally."));
    let mut shown = 0;
    for (service, method) in calls {
        let service = pool.get_service_by_name(service).unwrap_or_else(|| panic!("there is a service {service}"));
        assert!(service.methods().any(|known| known.name() == method), "{} {method}", service.full_name());
        shown += 1;
    }
    assert!(shown >= 3, "{shown}");
}
