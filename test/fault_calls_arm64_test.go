//go:build linux && arm64

package test

import "golang.org/x/sys/unix"

// archCalls are the calls that this architecture has besides.
var archCalls = []fileCall{
	{name: "newfstatat", nr: unix.SYS_FSTATAT, path: [][2]int{{0, 1}}},
	{name: "renameat", nr: unix.SYS_RENAMEAT, path: [][2]int{{0, 1}, {2, 3}}},
}

const auditArch = unix.AUDIT_ARCH_AARCH64
