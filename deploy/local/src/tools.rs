//! grpcurl and buf, for the lines that the banner shows.

use tally_servers::find;

use crate::project;

/// How to call a tool from a shell: by its name where PATH has it, else in the tests' environment; None where it isn't anywhere.
pub(crate) fn tool(name: &str) -> Option<String> {
    if find::program(&[name]).is_some() {
        return Some(name.to_owned());
    }
    let file = project::clients_venv().ok()?.join("bin").join(name);
    file.is_file().then(|| shell_word(&file.display().to_string()))
}

/// One word for a shell, whatever is in it.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_anything_in_it_stays_one_word() {
        let nasty = "/a b/it's $HOME";
        let out = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", shell_word(nasty))]).output();
        assert_eq!(String::from_utf8(out.unwrap().stdout).unwrap(), nasty);
        assert_eq!(shell_word("/plain/path"), "/plain/path");
    }
}
