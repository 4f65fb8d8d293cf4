use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Error;

/// The ordinary user whom servers run as when this process is root, which Postgres refuses to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerUser {
    /// Numeric user id.
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
}

impl ServerUser {
    /// Whether this process is root, so that servers need another user.
    pub fn is_needed() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// `postgres`, else `nobody`; None when this process is not root and servers run as whoever runs it.
    ///
    /// # Errors
    /// [`Error::NoUser`].
    pub fn for_servers() -> Result<Option<ServerUser>, Error> {
        if !ServerUser::is_needed() {
            return Ok(None);
        }
        let user = ["postgres", "nobody"].iter().find_map(|name| ServerUser::named(name));
        user.map(Some).ok_or(Error::NoUser)
    }

    /// Asks `id`, so that users from a directory service are found too.
    fn named(name: &str) -> Option<ServerUser> {
        let id = |flag: &str| -> Option<u32> {
            let out = Command::new("id").args([flag, name]).output().ok()?;
            String::from_utf8(out.stdout).ok()?.trim().parse().ok()
        };
        let user = ServerUser { uid: id("-u")?, gid: id("-g")? };
        (user.uid != 0).then_some(user)
    }
}

/// Makes `command` run as `user`; None leaves it as it is.
pub(crate) fn run_as(command: &mut Command, user: Option<ServerUser>) {
    if let Some(ServerUser { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
}
