//! Everything that happens to files and directories.
