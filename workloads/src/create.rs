//! Holds of a folder's i_rwsem for writing, by files that come and go.

use crate::folder;
use crate::load::{Load, Takes};

pub(crate) fn load() -> Load {
    Load {
        prepare: || folder::prepare(&[]),
        // open_last_lookups() and do_unlinkat() of fs/namei.c (from 7.0 on filename_unlinkat()) lock the folder's inode
        // once each. To remove a file takes that of the file, too, which nobody else has.
        takes: Some(Takes {
            lock: "inode.i_rwsem of the folder",
            exclusive: 2,
            shared: 0,
        }),
        ..Load::of("File creation and removal in one folder", || {
            folder::with_own_name(|name| {
                folder::create(name)?;
                folder::unlink(name)
            })
        })
    }
}
