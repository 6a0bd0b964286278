package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// shown are the entries of /proc that are the kernel's own; the rest, whatever
// a kernel may have, is hidden. Files in static are written by us.
var shown = []string{"self", "thread-self", "mounts", "net", "sys"}

// proc mounts a /proc of the new process namespace, read-only as a whole. What
// would tell one machine from another is covered by files that say the same
// everywhere.
func (m *mounter) proc() error {
	proc, err := below(m.outer, "/proc")
	if err != nil {
		return err
	}
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if m.o.Runsc != "" { // this one is gVisor's; the command sees gVisor's own
		err = unix.Mount("proc", proc, "proc", flags, "")
	} else {
		err = unix.Mount("proc", proc, "proc", flags|unix.MS_RDONLY, "hidepid=invisible")
	}
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: the /proc here has parts covered, as containers have; start the container so that it shows all of it (systempaths=unconfined)", err)
	} else if err != nil {
		return err
	}
	if m.o.Runsc != "" {
		return nil
	}
	static := m.static()
	for name, text := range static {
		from := filepath.Join(m.base, "static", name)
		if err := os.WriteFile(from, []byte(text), 0o444); err != nil {
			return err
		}
		if err := os.Chtimes(from, time.Unix(m.o.Clock, 0), time.Unix(m.o.Clock, 0)); err != nil {
			return err
		}
		if err := m.cover(from, filepath.Join(proc, name)); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := static[e.Name()]; ok || e.Name()[0] <= '9' || slices.Contains(shown, e.Name()) {
			continue
		}
		if err := m.hide(filepath.Join(proc, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	return nil
}

func (m *mounter) hide(at string, mode os.FileMode) error {
	switch {
	case mode.IsDir():
		return m.cover(m.base+"/none", at)
	case mode.IsRegular():
		return m.cover("/dev/null", at)
	}
	return nil // a link into a process, or below what is hidden
}

func (m *mounter) cover(from, at string) error {
	if err := unix.Mount(from, at, "", unix.MS_BIND, ""); errors.Is(err, unix.ENOENT) {
		return nil // this kernel has no such entry
	} else if err != nil {
		return fmt.Errorf("covering %s: %w", filepath.Base(at), err)
	}
	if from == "/dev/null" {
		return nil // reading gives nothing, writing goes nowhere
	}
	return readOnly(at, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)
}

// static is what programs look up in /proc before they choose how to work.
func (m *mounter) static() map[string]string {
	var cpuinfo, stat strings.Builder
	fmt.Fprintf(&stat, "cpu  0 0 0 0 0 0 0 0 0 0\n")
	for i := range m.o.CPUs {
		fmt.Fprintf(&cpuinfo, "processor\t: %d\nvendor_id\t: vitrine\nmodel name\t: vitrine\ncpu MHz\t\t: 1000.000\nphysical id\t: 0\nsiblings\t: %d\ncore id\t\t: %d\ncpu cores\t: %d\n\n",
			i, m.o.CPUs, i, m.o.CPUs)
		fmt.Fprintf(&stat, "cpu%d 0 0 0 0 0 0 0 0 0 0\n", i)
	}
	fmt.Fprintf(&stat, "intr 0\nctxt 0\nbtime %d\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n", m.o.Clock)
	kib := m.o.Limits.Memory >> 10
	return map[string]string{
		"cpuinfo":     cpuinfo.String(),
		"stat":        stat.String(),
		"meminfo":     fmt.Sprintf("MemTotal: %15d kB\nMemFree:  %15d kB\nMemAvailable: %11d kB\nBuffers: %16d kB\nCached: %17d kB\nSwapTotal: %14d kB\nSwapFree: %15d kB\n", kib, kib, kib, 0, 0, 0, 0),
		"uptime":      "1.00 1.00\n",
		"loadavg":     "0.00 0.00 0.00 1/1 1\n",
		"version":     "Linux version 6.0.0 (vitrine)\n",
		"filesystems": "nodev\tproc\nnodev\ttmpfs\n",
	}
}
