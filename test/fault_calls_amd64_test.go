//go:build linux && amd64

package test

import "golang.org/x/sys/unix"

// archCalls are the calls that this architecture has besides.
var archCalls = []fileCall{
	{name: "newfstatat", nr: unix.SYS_NEWFSTATAT, path: [][2]int{{0, 1}}},
	{name: "renameat", nr: unix.SYS_RENAMEAT, path: [][2]int{{0, 1}, {2, 3}}},
	{name: "open", nr: unix.SYS_OPEN, path: [][2]int{{noDir, 0}}},
	{name: "creat", nr: unix.SYS_CREAT, path: [][2]int{{noDir, 0}}},
	{name: "stat", nr: unix.SYS_STAT, path: [][2]int{{noDir, 0}}},
	{name: "lstat", nr: unix.SYS_LSTAT, path: [][2]int{{noDir, 0}}},
	{name: "access", nr: unix.SYS_ACCESS, path: [][2]int{{noDir, 0}}},
	{name: "chmod", nr: unix.SYS_CHMOD, path: [][2]int{{noDir, 0}}},
	{name: "readlink", nr: unix.SYS_READLINK, path: [][2]int{{noDir, 0}}},
	{name: "mkdir", nr: unix.SYS_MKDIR, path: [][2]int{{noDir, 0}}},
	{name: "rmdir", nr: unix.SYS_RMDIR, path: [][2]int{{noDir, 0}}},
	{name: "unlink", nr: unix.SYS_UNLINK, path: [][2]int{{noDir, 0}}},
	{name: "link", nr: unix.SYS_LINK, path: [][2]int{{noDir, 0}, {noDir, 1}}},
	{name: "rename", nr: unix.SYS_RENAME, path: [][2]int{{noDir, 0}, {noDir, 1}}},
}

const auditArch = unix.AUDIT_ARCH_X86_64
