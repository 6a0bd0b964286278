//go:build linux

package test

import (
	"slices"

	"golang.org/x/sys/unix"
)

// fileCall is a system call on files, and which of its arguments name them.
type fileCall struct {
	name string
	nr   uintptr
	fd   []int    // arguments that are file descriptors
	path [][2]int // arguments that are a directory's descriptor (-1: none) and a path
}

const noDir = -1

// fileCalls are the calls that fail or kill. What does not touch files, and
// what cannot fail for the disk's sake (poll, ioctl, dup), is left out.
var fileCalls = append([]fileCall{
	{name: "openat", nr: unix.SYS_OPENAT, path: [][2]int{{0, 1}}},
	{name: "read", nr: unix.SYS_READ, fd: []int{0}},
	{name: "pread64", nr: unix.SYS_PREAD64, fd: []int{0}},
	{name: "readv", nr: unix.SYS_READV, fd: []int{0}},
	{name: "write", nr: unix.SYS_WRITE, fd: []int{0}},
	{name: "pwrite64", nr: unix.SYS_PWRITE64, fd: []int{0}},
	{name: "writev", nr: unix.SYS_WRITEV, fd: []int{0}},
	{name: "copy_file_range", nr: unix.SYS_COPY_FILE_RANGE, fd: []int{0, 2}},
	{name: "sendfile", nr: unix.SYS_SENDFILE, fd: []int{0, 1}},
	{name: "lseek", nr: unix.SYS_LSEEK, fd: []int{0}},
	{name: "mmap", nr: unix.SYS_MMAP, fd: []int{4}},
	{name: "fsync", nr: unix.SYS_FSYNC, fd: []int{0}},
	{name: "fdatasync", nr: unix.SYS_FDATASYNC, fd: []int{0}},
	{name: "ftruncate", nr: unix.SYS_FTRUNCATE, fd: []int{0}},
	{name: "truncate", nr: unix.SYS_TRUNCATE, path: [][2]int{{noDir, 0}}},
	{name: "fallocate", nr: unix.SYS_FALLOCATE, fd: []int{0}},
	{name: "close", nr: unix.SYS_CLOSE, fd: []int{0}},
	{name: "flock", nr: unix.SYS_FLOCK, fd: []int{0}},
	{name: "fcntl", nr: unix.SYS_FCNTL, fd: []int{0}},
	{name: "fchmod", nr: unix.SYS_FCHMOD, fd: []int{0}},
	{name: "fchmodat", nr: unix.SYS_FCHMODAT, path: [][2]int{{0, 1}}},
	{name: "fchown", nr: unix.SYS_FCHOWN, fd: []int{0}},
	{name: "fstat", nr: unix.SYS_FSTAT, fd: []int{0}},
	{name: "fstatfs", nr: unix.SYS_FSTATFS, fd: []int{0}},
	{name: "statfs", nr: unix.SYS_STATFS, path: [][2]int{{noDir, 0}}},
	{name: "statx", nr: unix.SYS_STATX, path: [][2]int{{0, 1}}},
	{name: "faccessat", nr: unix.SYS_FACCESSAT, path: [][2]int{{0, 1}}},
	{name: "faccessat2", nr: unix.SYS_FACCESSAT2, path: [][2]int{{0, 1}}},
	{name: "getdents64", nr: unix.SYS_GETDENTS64, fd: []int{0}},
	{name: "readlinkat", nr: unix.SYS_READLINKAT, path: [][2]int{{0, 1}}},
	{name: "mkdirat", nr: unix.SYS_MKDIRAT, path: [][2]int{{0, 1}}},
	{name: "unlinkat", nr: unix.SYS_UNLINKAT, path: [][2]int{{0, 1}}},
	{name: "symlinkat", nr: unix.SYS_SYMLINKAT, path: [][2]int{{1, 2}}},
	{name: "linkat", nr: unix.SYS_LINKAT, path: [][2]int{{0, 1}, {2, 3}}},
	{name: "renameat2", nr: unix.SYS_RENAMEAT2, path: [][2]int{{0, 1}, {2, 3}}},
	{name: "utimensat", nr: unix.SYS_UTIMENSAT, path: [][2]int{{0, 1}}},
}, archCalls...)

// reads reports a call that changes nothing, so that a full disk cannot fail it.
func (c *fileCall) reads() bool {
	return slices.Contains([]string{"read", "pread64", "readv", "lseek", "mmap", "flock", "fcntl", "close",
		"fstat", "fstatfs", "statfs", "statx", "stat", "lstat", "newfstatat", "access", "faccessat", "faccessat2",
		"getdents64", "readlink", "readlinkat", "fsync", "fdatasync"}, c.name)
}
