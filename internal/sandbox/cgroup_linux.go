package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// group is a control group for one sandbox: a hard wall for memory and
// processes behind what process 1 watches and what the process limits say.
// Without any controller it does nothing.
type group struct {
	dirs   []string // one for v2; one for each controller of v1
	v2     bool
	events string // file that counts kills for want of memory
}

// slack is what the sandbox's own processes and the kernel need.
const slack = 128 << 20

// tasks is how many the group may have: more than the process limit, which
// binds the command alone, so that process 1 can always start a thread. gVisor
// holds the processes of the command itself, and has some of its own for each.
func (r *runner) tasks() int {
	if r.runsc != "" {
		return 4*r.job.Limits.Processes + 1024
	}
	return r.job.Limits.Processes + 4*ownTasks
}

// newGroup makes a group below dir, which must work then; with "" it makes one
// where it can.
func newGroup(dir string, l Limits, tasks int) (*group, error) {
	var b [8]byte
	rand.Read(b[:])
	name := fmt.Sprintf("vitrine-sandbox-%x", b)
	memory := strconv.FormatInt(l.Memory+l.Disk+l.Root+slack, 10)
	pids := strconv.Itoa(tasks)
	if dir != "" {
		g, err := newV2(dir, name, memory, pids)
		if err != nil {
			return nil, fmt.Errorf("making a control group below %s: %w: delegate it to this user with the controllers memory and pids", dir, err)
		}
		return g, nil
	}
	own := ownGroups()
	if at, ok := own[""]; ok {
		for _, parent := range []string{at, filepath.Dir(at)} {
			if g, err := newV2(parent, name, memory, pids); err == nil {
				return g, nil
			}
		}
	}
	g := &group{}
	for controller, set := range map[string]map[string]string{
		"memory": {"memory.limit_in_bytes": memory, "memory.swappiness": "0"},
		"pids":   {"pids.max": pids},
	} {
		if at, ok := own[controller]; ok && g.makeDir(filepath.Join(at, name), set) == nil && controller == "memory" {
			g.events = filepath.Join(at, name, "memory.oom_control")
		}
	}
	return g, nil
}

func newV2(parent, name, memory, pids string) (*group, error) {
	control := filepath.Join(parent, "cgroup.subtree_control")
	have, err := os.ReadFile(control)
	if err != nil {
		return nil, err
	}
	if f := strings.Fields(string(have)); !contains(f, "memory") || !contains(f, "pids") {
		if err := os.WriteFile(control, []byte("+memory +pids"), 0); err != nil {
			return nil, err
		}
	}
	g := &group{v2: true}
	at := filepath.Join(parent, name)
	err = g.makeDir(at, map[string]string{"memory.max": memory, "memory.oom.group": "1", "pids.max": pids})
	if err != nil {
		return nil, err
	}
	os.WriteFile(filepath.Join(at, "memory.swap.max"), []byte("0"), 0) // only where there is swap
	g.events = filepath.Join(at, "memory.events")
	return g, nil
}

// makeDir makes one directory with its limits, or leaves nothing behind.
func (g *group) makeDir(at string, set map[string]string) error {
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	for name, value := range set {
		if err := os.WriteFile(filepath.Join(at, name), []byte(value), 0); err != nil {
			os.Remove(at)
			return err
		}
	}
	g.dirs = append(g.dirs, at)
	return nil
}

// ownGroups maps controllers (v1) and "" (v2) to the directories of the groups
// that this process is in.
func ownGroups() map[string]string {
	mounts, groups := map[string]string{}, map[string]string{}
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		f, a := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(a) < 3 || f[3] != "/" {
			continue
		}
		switch a[0] {
		case "cgroup2":
			mounts[""] = f[4]
		case "cgroup":
			for c := range strings.SplitSeq(a[2], ",") {
				mounts[c] = f[4]
			}
		}
	}
	b, _ = os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if at, ok := mounts[c]; ok {
				groups[c] = filepath.Join(at, f[2])
			}
		}
	}
	return groups
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// add moves a process, and what it will start, into the group.
func (g *group) add(pid int) error {
	for _, d := range g.dirs {
		if err := os.WriteFile(filepath.Join(d, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("joining the control group: %w", err)
		}
	}
	return nil
}

// outOfMemory reports whether the kernel killed for want of memory.
func (g *group) outOfMemory() bool {
	b, err := os.ReadFile(g.events)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill" && f[1] != "0" {
			return true
		}
	}
	return false
}

func (g *group) kill() {
	if g.v2 && len(g.dirs) > 0 {
		os.WriteFile(filepath.Join(g.dirs[0], "cgroup.kill"), []byte("1"), 0)
	}
}

// remove takes the group away; the kernel may need a moment after the last
// process.
func (g *group) remove() {
	for _, d := range g.dirs {
		for range 100 {
			if err := unix.Rmdir(d); !errors.Is(err, unix.EBUSY) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}
