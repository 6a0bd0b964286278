//go:build linux

package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The environment of TestCircleUnderFaults. The first two are for people.
const (
	circleForEnv    = "VITRINE_FAULTS_FOR"  // how long there are faults, such as 1h
	circleSeedEnv   = "VITRINE_FAULTS_SEED" // to have the same faults again
	circleBinaryEnv = "VITRINE_TEST_CIRCLE" // of the process in namespaces: the program
	circleFor       = time.Minute
)

// TestCircleUnderFaults runs a circle of four nodes, of which each needs the
// cosignatures of two others, publishes on all of them, and meanwhile kills and
// pauses nodes, cuts and spoils their network. Then all is healed, and the
// promises of a circle have to hold: see (*circleWorld).judge.
//
// The network is this process's: packets are delayed, lost, doubled, overtaken
// and kept from passing by the test itself (see wire). It runs itself again in network and mount namespaces of its own, as root or
// in a user namespace. The clock has none (CLOCK_REALTIME is not in time
// namespaces), so it does not jump here: the tests of internal/clock, and those
// of internal/centre and internal/ledger whose signers are guarded by it, see
// to that.
func TestCircleUnderFaults(t *testing.T) {
	if bin := os.Getenv(circleBinaryEnv); bin != "" {
		circleUnderFaults(t, bin)
		return
	}
	for _, tool := range []string{"ip", "unshare"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: install it with `apt-get install iproute2 util-linux`", err)
		}
	}
	bin := filepath.Join(t.TempDir(), "vitrine")
	if out, err := exec.Command("cp", vitrineBinary(t), bin).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", append(unshareFlags(t), "--", os.Args[0], "-test.run=^TestCircleUnderFaults$", "-test.v")...)
	cmd.Env = append(os.Environ(), circleBinaryEnv+"="+bin, "TMPDIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("in its namespaces: %v", err)
	}
	if !strings.Contains(string(out), "--- PASS: TestCircleUnderFaults") {
		t.Fatal("nothing ran in the namespaces")
	}
}

// unshareFlags are those with which this user may make namespaces.
func unshareFlags(t *testing.T) []string {
	t.Helper()
	base := []string{"--net", "--mount"}
	user := append([]string{"--user", "--map-root-user"}, base...)
	var said []byte
	for _, flags := range [][]string{base, user} {
		out, err := exec.Command("unshare", append(flags, "true")...).CombinedOutput()
		if err == nil {
			return flags
		}
		said = append(said, out...)
	}
	t.Fatalf("this user may make no network namespace: run the test as root, or `sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0`\n%s", said)
	return nil
}

func circleUnderFaults(t *testing.T, bin string) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv(circleSeedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	long := circleFor
	if s := os.Getenv(circleForEnv); s != "" {
		var err error
		if long, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d %s=%s", circleSeedEnv, seed, circleForEnv, long)
	w := newCircleWorld(t, bin, seed)
	w.found(t)
	before := w.goroutines(t)

	ctx, cancel := context.WithCancel(t.Context())
	done := w.load(ctx)
	watching, unwatch := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { defer close(watched); w.watch(watching) }()
	(&tormentor{w: w, rng: rand.New(rand.NewPCG(seed, 1)), count: map[string]int{}}).run(t, long)
	cancel()
	<-done
	w.converge(t)
	unwatch()
	<-watched
	w.judge(t, before)
	w.report(t)
}

// tormentor makes faults and heals them.
type tormentor struct {
	w     *circleWorld
	rng   *rand.Rand
	count map[string]int
	long  bool // some faults last for minutes
}

// longFrom is from what time on there is time for faults that last.
const longFrom = 10 * time.Minute

// between is a time from low to high.
func (f *tormentor) between(low, high time.Duration) time.Duration {
	return low + time.Duration(f.rng.Int64N(int64(high-low)))
}

// fault is what is done to some nodes for a while.
type fault struct {
	what string
	long time.Duration
	do   func()
	heal func()
}

// run makes faults, one or two at a time, until the time is over.
func (f *tormentor) run(t *testing.T, long time.Duration) {
	f.long = long >= longFrom
	for end := time.Now().Add(long); time.Now().Before(end); {
		now := []fault{f.next()}
		if f.rng.IntN(3) == 0 {
			now = append(now, f.next())
		}
		var last time.Duration
		for _, x := range now {
			f.count[strings.Fields(x.what)[0]]++
			last = max(last, x.long)
			f.w.note(x.what)
			x.do()
		}
		time.Sleep(last)
		for _, x := range now {
			x.heal()
		}
		f.w.note("healed")
		time.Sleep(f.between(300*time.Millisecond, 3*time.Second))
	}
	t.Logf("faults: %v", f.count)
}

// next draws a fault.
func (f *tormentor) next() fault {
	a := f.w.nodes[f.rng.IntN(len(f.w.nodes))]
	none := func() {}
	if f.long && f.rng.IntN(20) == 0 {
		long := f.between(time.Minute, 4*time.Minute)
		return fault{fmt.Sprintf("long alone %s for %v", a.name, long), long, func() { f.w.wire.split(a.port) }, f.w.wire.join}
	}
	switch f.rng.IntN(8) {
	case 0, 1:
		down := f.between(time.Millisecond, 5*time.Second)
		return fault{fmt.Sprintf("kill %s, away for %v", a.name, down), down, func() { a.kill(down) }, none}
	case 2:
		down := f.between(time.Millisecond, 3*time.Second)
		return fault{fmt.Sprintf("kill-all nodes, away for %v", down), down, func() {
			for _, n := range f.w.nodes {
				n.kill(down)
			}
		}, none}
	case 3, 4:
		long := f.between(time.Second, 12*time.Second)
		return fault{fmt.Sprintf("pause %s for %v", a.name, long), long,
			func() { a.signal(syscall.SIGSTOP) }, func() { a.signal(syscall.SIGCONT) }}
	case 5:
		long := f.between(time.Second, 12*time.Second)
		return fault{fmt.Sprintf("alone %s for %v", a.name, long), long,
			func() { f.w.wire.split(a.port) }, f.w.wire.join}
	case 6:
		long := f.between(time.Second, 12*time.Second)
		b := f.w.nodes[(a.port+1+f.rng.IntN(len(f.w.nodes)-1))%len(f.w.nodes)]
		return fault{fmt.Sprintf("split %s and %s from the others for %v", a.name, b.name, long), long,
			func() { f.w.wire.split(a.port, b.port) }, f.w.wire.join}
	default:
		long := f.between(2*time.Second, 10*time.Second)
		v := weather{
			delay: f.between(0, 200*time.Millisecond), jitter: f.between(1, 100*time.Millisecond),
			loss: f.rng.Float64() * 0.1, twice: f.rng.Float64() * 0.1, late: f.rng.Float64() * 0.1,
		}
		return fault{fmt.Sprintf("weather %v for %v", v, long), long,
			func() { f.w.wire.spoil(v) }, func() { f.w.wire.spoil(weather{}) }}
	}
}
