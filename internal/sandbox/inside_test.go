//go:build linux

package sandbox

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// judge runs the filter on one call, as the kernel does.
func judge(t *testing.T, p []unix.SockFilter, machine, number uint32, args [6]uint64) uint32 {
	t.Helper()
	var acc uint32
	for pc := 0; pc < len(p); pc++ {
		i := p[pc]
		yes := false
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			switch {
			case i.K == offNumber:
				acc = number
			case i.K == offArch:
				acc = machine
			case i.K >= offArguments && i.K < offArguments+48 && i.K%8 == 0:
				acc = uint32(args[(i.K-offArguments)/8])
			default:
				t.Fatalf("instruction %d loads from %d", pc, i.K)
			}
			continue
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JEQ:
			yes = acc == i.K
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JGE:
			yes = acc >= i.K
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JSET:
			yes = acc&i.K != 0
		default:
			t.Fatalf("instruction %d has code %#x", pc, i.Code)
		}
		if yes {
			pc += int(i.Jt)
		} else {
			pc += int(i.Jf)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

// TestFilterJudgesEveryCall goes through all numbers with many arguments: what
// is allowed is on the list, or keeps its rule; the rest is an error.
func TestFilterJudgesEveryCall(t *testing.T) {
	p, err := filter()
	if err != nil {
		t.Fatal(err)
	}
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	if len(p) > 4096 {
		t.Fatalf("%d instructions, the kernel takes 4096", len(p))
	}
	listed, ruled := map[string]bool{}, map[string]rule{}
	for _, n := range allowed {
		listed[n] = true
	}
	for _, r := range rules {
		if listed[r.name] {
			t.Errorf("%s is both listed and ruled", r.name)
		}
		ruled[r.name] = r
	}
	random := rand.New(rand.NewPCG(1, 2))
	values := []uint64{0, 1, 2, 10, 16, 17, 40, tiocsti, tioclinux, 1<<32 | tiocsti, 1<<32 | 1, newSpaces, unix.CLONE_NEWUSER, uint64(unix.SIGCHLD), unix.S_IFCHR | 0o666, unix.S_IFBLK, unix.S_IFIFO, personalityQuery}
	for number := range uint32(700) {
		name := info.SyscallNumbers[int(number)]
		for range 200 {
			var args [6]uint64
			for i := range args {
				if args[i] = random.Uint64(); random.IntN(2) == 0 {
					args[i] = values[random.IntN(len(values))]
				}
			}
			got := judge(t, p, uint32(info.ID), number, args) == unix.SECCOMP_RET_ALLOW
			want := listed[name]
			if r, ok := ruled[name]; ok {
				want = r.allows(uint32(args[r.argument]))
			}
			if got != want {
				t.Fatalf("%s (%d) with %#x: allowed %v, want %v", name, number, args, got, want)
			}
		}
		if judge(t, p, uint32(info.ID)^1, number, [6]uint64{}) == unix.SECCOMP_RET_ALLOW {
			t.Errorf("call %d of another architecture is allowed", number)
		}
		if info.ID == arch.X86_64.ID && judge(t, p, uint32(info.ID), number|x32, [6]uint64{}) == unix.SECCOMP_RET_ALLOW {
			t.Errorf("call %d of x32 is allowed", number)
		}
	}
}

// allows says what the rule means, in words of its own.
func (r rule) allows(v uint32) bool {
	in := false
	for _, one := range r.values {
		in = in || v == one || r.op == noBitsSet && v&one != 0
	}
	return in == (r.op == oneOf)
}

func FuzzPlace(f *testing.F) {
	for _, s := range []string{"a", "./a", "../a", "/a", "a/../b", "a//b", "", ".", "a/..", "a\x00b", "proc/self", "..a"} {
		f.Add("/opt", s)
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, at, name string) {
		if at != "" && !absolute(at) {
			return
		}
		p, err := place(at, name)
		if err == nil && (!strings.HasPrefix(p, "/") || at != "" && !within(p, at) || strings.Contains(p+"/", "/../")) {
			t.Errorf("%q below %q is at %q", name, at, p)
		}
	})
}

func FuzzZeros(f *testing.F) {
	f.Add([]byte("a\x00\x00"), 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		z := &zeros{from: bytes.NewReader(b)}
		if n = n % 64; n < 1 {
			n = 1
		}
		for buf := make([]byte, n); ; {
			if _, err := z.Read(buf); err == io.EOF {
				break
			}
		}
		if want := len(b) - len(bytes.TrimRight(b, "\x00")); int(z.n) != want {
			t.Errorf("%d zeros, want %d", z.n, want)
		}
	})
}

// TestGroups makes a control group where this machine has them, and sees the
// kernel hold it.
func TestGroups(t *testing.T) {
	if _, err := newGroup(t.TempDir(), DefaultLimits(), 10); err == nil || !strings.Contains(err.Error(), "delegate it") {
		t.Errorf("a directory that is no group: %v", err)
	}
	l := Limits{Memory: 1 << 20, Disk: 1 << 20, Root: 1 << 20, Processes: 1}
	g, err := newGroup("", l, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(g.dirs) == 0 {
		t.Log("this user can make no control groups here: only process 1 watches")
		g.kill()
		g.remove()
		return
	}
	cmd := exec.Command("sh", "-c", "read x; tail /dev/zero") // which keeps the last line
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "go\n")
	if err := cmd.Wait(); err == nil || !g.outOfMemory() {
		t.Errorf("a process without end of memory: %v, out of memory %v", err, g.outOfMemory())
	}
	g.remove()
	for _, d := range g.dirs {
		if _, err := os.Stat(d); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", d, err)
		}
	}
}
