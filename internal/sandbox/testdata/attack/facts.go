//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

func init() { attacks["facts"] = facts }

// facts writes down all that a build might look at and put into its output.
func facts([]string) {
	f, err := os.Create("/facts")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	host, _ := os.Hostname()
	dir, _ := os.Getwd()
	env := os.Environ()
	sort.Strings(env)
	fmt.Fprintln(f, "args", os.Args)
	fmt.Fprintln(f, "env", env)
	fmt.Fprintln(f, "ids", os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
	fmt.Fprintln(f, "host", host, "dir", dir, "cpus", runtime.NumCPU())
	mask := unix.Umask(0)
	fmt.Fprintf(f, "umask %04o\n", mask)
	unix.Umask(mask)
	for _, r := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_STACK, unix.RLIMIT_CORE, unix.RLIMIT_CPU, unix.RLIMIT_FSIZE} {
		var l unix.Rlimit
		unix.Getrlimit(r, &l)
		fmt.Fprintln(f, "limit", r, l.Max)
	}
	cpuinfo, _ := os.ReadFile("/proc/cpuinfo")
	fmt.Fprintln(f, "processors", strings.Count(string(cpuinfo), "processor\t:"))
	for _, name := range []string{"/etc/localtime", "/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/sys/devices/system/cpu/online", "/root", "/home"} {
		_, err := os.Stat(name)
		fmt.Fprintln(f, name, err == nil && name[:4] != "/sys")
	}
	filepath.WalkDir("/", func(path string, d fs.DirEntry, err error) error {
		if path == "/proc" || path == "/dev" || path == "/sys" || path == "/facts" {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		size := st.Size
		if d.IsDir() {
			size = 0 // the file system's own business
		}
		when := fmt.Sprint(st.Mtim.Sec)
		if path == "/" {
			when = "now" // this file is made in it
		}
		fmt.Fprintf(f, "%s %o %d:%d %d %s %v\n", path, st.Mode, st.Uid, st.Gid, size, when, err)
		return nil
	})
}
