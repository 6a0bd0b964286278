//go:build linux

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// How many strikes a short run makes of each kind. With VITRINE_FAULTS=all
// every call is struck; VITRINE_FAULTS_CALL=fsync leaves only these.
const (
	shortStrikes  = 90
	strikeTimeout = 2 * time.Minute
)

// strike is one fault: what happens at the n-th call on a file.
type strike struct {
	n    int
	name string // of the call that stood there in the traced run
	kind string
	answer
}

func (s strike) String() string { return fmt.Sprintf("%s at call %d (%s)", s.kind, s.n, s.name) }

// TestEveryFileCallOfPublishingMayFail makes each call on a file fail in turn:
// writing calls with a full disk, all with an I/O error.
func TestEveryFileCallOfPublishingMayFail(t *testing.T) {
	strikeAll(t, func(e event) strike {
		s := strike{n: e.n, name: e.call.name, kind: "EIO", answer: answer{errno: unix.EIO}}
		if !e.call.reads() && e.n%2 == 0 {
			s.kind, s.errno = "ENOSPC", unix.ENOSPC
		}
		return s
	})
}

// TestEveryFileCallOfPublishingMayKill kills the process before each call on a
// file in turn, which is after each call too. What the kernel was told stays:
// this is no power cut.
func TestEveryFileCallOfPublishingMayKill(t *testing.T) {
	strikeAll(t, func(e event) strike {
		return strike{n: e.n, name: e.call.name, kind: "SIGKILL", answer: answer{kill: true}}
	})
}

func strikeAll(t *testing.T, of func(event) strike) {
	tmp := t.TempDir()
	base := newRoom(t, vitrineBinary(t), tmp+"/base-room")
	events := traced(t, base, tmp)
	strikes := choose(events, of)
	t.Logf("%d calls on files in a publication; %d struck", len(events), len(strikes))

	var g errgroup.Group
	g.SetLimit(4) // most of a run is waiting for the log
	var mu sync.Mutex
	var missed, died, refused, done int
	for _, s := range strikes {
		g.Go(func() error {
			end, err := struck(base, tmp, s)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Errorf("%s: %v", s, err)
			case !end.hit:
				missed++
			case end.code == -1:
				died++
			case end.code == 0:
				done++
			default:
				refused++
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d published all the same, %d ended with an error, %d were killed; %d were over before their call came",
		done, refused, died, missed)
	if missed > len(strikes)/4 {
		t.Errorf("%d of %d strikes hit nothing: runs differ too much from the traced one", missed, len(strikes))
	}
}

// traced publishes without faults and returns the calls on files.
func traced(t *testing.T, base *room, tmp string) []event {
	t.Helper()
	r, err := base.copy(tmp)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), strikeTimeout)
	defer cancel()
	o, err := supervise(ctx, r.dir, func(event) answer { return answer{} }, r.publish()...)
	if err != nil {
		t.Fatal(err)
	}
	if o.code != 0 {
		t.Fatalf("without faults: exit %d\n%s", o.code, o.stderr)
	}
	if len(o.events) < 100 {
		t.Fatalf("only %d calls on files seen: %v", len(o.events), o.events)
	}
	if err := r.sound(acknowledgement(o.stdout)); err != nil {
		t.Fatalf("without faults: %v", err)
	}
	return o.events
}

// choose takes every call, or in a short run a spread of them: the first and
// the last of each kind of call, and every so-many-th of all.
func choose(events []event, of func(event) strike) []strike {
	take := map[int]bool{}
	stride := 1.0
	if os.Getenv("VITRINE_FAULTS") != "all" {
		last := map[string]int{}
		for i, e := range events {
			if _, ok := last[e.call.name]; !ok {
				take[i] = true
			}
			last[e.call.name] = i
		}
		for _, i := range last {
			take[i] = true
		}
		stride = float64(len(events)) / float64(max(shortStrikes-len(take), 1))
	}
	for x := 0.0; int(x) < len(events); x += max(stride, 1) {
		take[int(x)] = true
	}
	var all []strike
	only := os.Getenv("VITRINE_FAULTS_CALL")
	for i, e := range events {
		if take[i] && (only == "" || only == e.call.name) {
			all = append(all, of(e))
		}
	}
	return all
}

// ending is how a struck publication ended.
type ending struct {
	code int
	hit  bool
}

// struck publishes in a copy of the room with one fault, and checks the room.
func struck(base *room, tmp string, s strike) (ending, error) {
	r, err := base.copy(tmp)
	if err != nil {
		return ending{}, err
	}
	defer os.RemoveAll(r.dir)
	var at event
	ctx, cancel := context.WithTimeout(context.Background(), strikeTimeout)
	defer cancel()
	o, err := supervise(ctx, r.dir, func(e event) answer {
		if e.n != s.n {
			return answer{}
		}
		at = e
		return s.answer
	}, r.publish()...)
	if err != nil {
		return ending{}, fmt.Errorf("struck %s: %w", at, err)
	}
	end := ending{o.code, at.n > 0}
	acked := acknowledgement(o.stdout)
	if err := errors.Join(manners(o, s), r.sound(acked)); err != nil {
		return end, fmt.Errorf("struck %s, exit %d: %w\nits stderr:\n%s", at, o.code, err, o.stderr)
	}
	return end, nil
}

// manners checks how a struck program speaks: an error line, never a panic.
func manners(o *outcome, s strike) error {
	switch {
	case tesseraGaveUp(o.stderr):
		return nil
	case strings.Contains(o.stderr, "goroutine ") || strings.Contains(o.stderr, "panic"):
		return errors.New("it panicked")
	case s.kill:
		return nil
	case o.code == 0 && acknowledgement(o.stdout) == nil:
		return fmt.Errorf("it succeeded and printed no index: %q", o.stdout)
	case o.code != 0 && !strings.Contains(o.stderr, "vitrine: error: "):
		return errors.New("it failed and did not say why")
	case o.code != 0 && !slices.Contains([]int{1, 2}, o.code):
		return errors.New("an exit status that means nothing")
	}
	return nil
}

// tesseraGaveUp reports that Tessera v1.0.4 stopped the process from a
// goroutine of its own, which it does where its lock files cannot be locked or
// unlocked. That is a crash like being killed, and must lose as little.
func tesseraGaveUp(stderr string) bool {
	first, trace, ok := strings.Cut(stderr[max(strings.LastIndex(stderr, "panic: "), 0):], "\n\ngoroutine ")
	return ok && strings.HasPrefix(first, "panic: ") &&
		strings.Contains(trace, "tessera/storage/posix.") && !strings.Contains(trace, "vitrine.example/")
}

// acknowledgement reads what publish printed, if anything.
func acknowledgement(stdout string) *acknowledged {
	var a acknowledged
	if err := json.Unmarshal([]byte(stdout), &a); err != nil || a.Index == nil {
		return nil
	}
	return &a
}
