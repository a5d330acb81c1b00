//! Holds of two folders' i_rwsems for writing, at once where a file goes from one to the other. Whoever moves a file from
//! folder to folder takes s_vfs_rename_mutex of the filesystem before: workers mostly wait for that one.

use std::ffi::CString;

use crate::folder;
use crate::load::{Failure, Load, Operation, Takes};

const FROM: &str = "from";
const TO: &str = "to";

thread_local! {
    static PATHS: [CString; 2] = [FROM, TO].map(|folder| {
        folder::with_own_name(|name| {
            CString::new([folder.as_bytes(), b"/", name.as_bytes()].concat()).unwrap_or_default()
        })
    });
}

pub(crate) fn load() -> Load {
    Load {
        prepare: || folder::prepare(&[FROM, TO]),
        // lock_rename() of fs/namei.c, 6.1 to 7.3, takes both; to make the file takes the one, to remove it the other.
        // The file's own is taken, too, by nobody else.
        takes: Some(Takes {
            lock: "inode.i_rwsem of both folders",
            exclusive: 4,
            shared: 0,
        }),
        ..Load::of("File renamed from one folder into another", || {
            PATHS.with(|[from, to]| {
                folder::create(from)?;
                let folder = folder::descriptor();
                // SAFETY: both paths are NUL-terminated.
                let done = unsafe { libc::renameat(folder, from.as_ptr(), folder, to.as_ptr()) };
                if done != 0 {
                    return Err(Failure::last(Operation::Rename));
                }
                folder::unlink(to)
            })
        })
    }
}
