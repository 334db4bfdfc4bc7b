//! What kind of file system a directory is on. Network file systems give no
//! events for what other machines write; the kernel's own hold no projects and
//! are large. Numbers: `statfs(2)` and the kernel's `magic.h`.

use std::os::fd::AsFd;

/// What a file system's kind means for watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Events come for every change.
    Local,
    /// Changes made by other machines, or by the host of this container, give no events.
    Remote(&'static str),
    /// The kernel's own (`/proc`): not walked.
    Kernel,
}

/// The kind of the file system that an open file or directory is on; `Local` when the system does not say.
pub(crate) fn kind_of(file: impl AsFd) -> Kind {
    match rustix::fs::fstatfs(file) {
        // The field's type differs between machines; every magic number has 32 bits.
        Ok(stat) => kind(stat.f_type as u32),
        Err(_) => Kind::Local,
    }
}

fn kind(magic: u32) -> Kind {
    match magic {
        0x6969 => Kind::Remote("NFS"),
        0x517B | 0xFE53_4D42 | 0xFF53_4D42 => Kind::Remote("SMB"),
        0x6573_5546 => Kind::Remote("FUSE"),
        0x0102_1997 => Kind::Remote("9P"),
        0x5346_414F => Kind::Remote("AFS"),
        0x00C3_6400 => Kind::Remote("Ceph"),
        0x0BD0_0BD0 => Kind::Remote("Lustre"),
        0x786F_4256 => Kind::Remote("VirtualBox shared folder"),
        // proc, sysfs, cgroup, cgroup2, debugfs, tracefs, securityfs, devpts
        0x9FA0 | 0x6265_6572 | 0x0027_E0EB | 0x6367_7270 => Kind::Kernel,
        0x6462_6720 | 0x7472_6163 | 0x7363_6673 | 0x1CD1 => Kind::Kernel,
        // bpf, pstore, efivarfs, configfs, fusectl, mqueue, hugetlbfs, selinuxfs, nsfs
        0xCAFE_4A11 | 0x6165_676C | 0xDE5E_81E4 | 0x6265_6570 => Kind::Kernel,
        0x6573_5543 | 0x1980_0202 | 0x9584_58F6 | 0xF97C_FF8C | 0x6E73_6673 => Kind::Kernel,
        _ => Kind::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(kind(0xEF53), Kind::Local, "ext4");
        assert_eq!(kind(0x794C_7630), Kind::Local, "overlayfs");
        assert_eq!(kind(0x0102_1994), Kind::Local, "tmpfs");
        assert_eq!(kind(0x6969), Kind::Remote("NFS"));
        let proc_fs = std::fs::File::open("/proc").unwrap();
        assert_eq!(kind_of(proc_fs), Kind::Kernel);
    }
}
