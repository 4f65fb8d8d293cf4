//! grpcurl and buf, for the lines that the banner shows.

use tally_servers::find;

use crate::project;

/// A program that a user calls from a shell.
#[derive(Debug)]
pub(crate) struct Tool {
    /// How to call it: by its name where PATH has it, else in the environment that `make tools` makes.
    pub(crate) word: String,
    /// It is there.
    pub(crate) installed: bool,
}

/// Looks for a tool.
pub(crate) fn tool(name: &str) -> Tool {
    let by_name = Tool { word: name.to_owned(), installed: find::program(&[name]).is_some() };
    match project::clients_venv() {
        Ok(venv) if !by_name.installed => {
            let file = venv.join("bin").join(name);
            Tool { word: shell_word(&file.display().to_string()), installed: file.is_file() }
        }
        _ => by_name,
    }
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
