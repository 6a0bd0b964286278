//go:build linux

package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/statement"
)

// farmWorld is two nodes with one queue in PostgreSQL, and six workers, each of
// which reaches each node over a wire of its own.
type farmWorld struct {
	t       *testing.T
	queue   *farm.Queue
	nodes   []*farmProcess
	workers []*farmProcess
	wires   []*farmWire
	origins []string
}

const farmWorkers = 6

// TestFarmUnderFaults: whatever dies, hangs or is cut off, each order is decided
// and said, once. VITRINE_FARM_ORDERS says how many there are.
func TestFarmUnderFaults(t *testing.T) {
	orders, within := 60, 4*time.Minute
	if s := os.Getenv("VITRINE_FARM_ORDERS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		orders, within = n, time.Duration(n)*3*time.Second
	}
	tool := farmTool(t)
	w := newFarmWorld(t, tool)
	ids := map[int64]int{}
	for i := range orders {
		ids[w.order(i, tool)] = i
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var background sync.WaitGroup
	quiet := make(chan struct{})
	background.Go(func() { w.faults(quiet, ctx) })
	var p publisher
	for _, origin := range w.origins {
		for range 2 { // as where a node is served twice by mistake
			background.Go(func() { p.publish(ctx, t, w.queue, origin) })
		}
	}
	w.await(ctx, orders)
	close(quiet)
	cancel()
	background.Wait()
	w.judge(ids, &p)
}

func newFarmWorld(t *testing.T, tool []byte) *farmWorld {
	w := &farmWorld{t: t}
	bin, dir, url := buildVitrine(t), t.TempDir(), storetest.Postgres(t)
	w.queue = &farm.Queue{DB: storetest.Open(t, url), Lease: 2 * time.Second, Now: time.Now}
	var known []string
	for i := range farmWorkers {
		known = append(known, fmt.Sprintf("%q", farmName(i)+"="+strings.TrimSpace(mustRun(t, bin, "worker", "--dir", filepath.Join(dir, farmName(i))))))
	}
	var at, ids []string
	for _, name := range []string{"asia", "europe"} {
		node := filepath.Join(dir, name)
		w.origins = append(w.origins, name+".example")
		mustRun(t, bin, "init", node, "--url", "https://"+name+".example", "--listen", "127.0.0.1:0")
		addr := freeFarmAddr(t)
		f, err := os.OpenFile(filepath.Join(node, "vitrine.toml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "\nfarm-listen = %q\nfarm-workers = [%s]\nfarm-database = %q\nfarm-lease = \"2s\"\n", addr, strings.Join(known, ", "), url)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		id, err := farm.OpenIdentity(filepath.Join(node, "keys", "farm.pem"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := content.Open(filepath.Join(node, "content"))
		if err == nil {
			_, err = s.Put(t.Context(), content.Room, bytes.NewReader(tool), int64(len(tool)))
		}
		if err != nil {
			t.Fatal(err)
		}
		at, ids = append(at, addr), append(ids, id.ID().String())
		w.nodes = append(w.nodes, startFarmProcess(t, node+".log", bin, "serve", node))
	}
	for i := range farmWorkers {
		args := []string{bin, "worker", "--dir", filepath.Join(dir, farmName(i))}
		for k := range at {
			wire := newFarmWire(t, at[(k+i)%2])
			w.wires = append(w.wires, wire)
			args = append(args, "--node", "https://"+wire.l.Addr().String()+"#sha256:"+ids[(k+i)%2])
		}
		w.workers = append(w.workers, startFarmProcess(t, filepath.Join(dir, farmName(i)+".log"), args...))
	}
	return w
}

// order asks for one artifact, whose bytes are the order's own.
func (w *farmWorld) order(i int, tool []byte) int64 {
	text := fmt.Sprint("artifact ", i)
	limits := recipe.DefaultLimits()
	limits.Memory, limits.Disk = 256<<20, 64<<20
	id, _, err := w.queue.Add(context.Background(), farm.Ask{
		Node: w.origins[i%2], Origin: "vendor.example", Product: "pkg:generic/app", Version: fmt.Sprint(i),
		Order: rebuild.Order{
			Release: digest.Of(fmt.Append(nil, "release ", i)), Recipe: digest.Of([]byte("recipe")),
			Shipped: []rebuild.Shipped{{Name: "app", SHA256: digest.Of([]byte(text)), Size: int64(len(text))}},
			Outputs: []recipe.Output{{Artifact: "app", Path: "/out/app"}},
			Task: rebuild.Task{Limits: limits, Job: &recipe.Job{
				Kind: recipe.JobKind, Clock: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Hostname: "build", CPUs: 1,
				Env: []string{}, Root: []recipe.Layer{}, Files: []recipe.File{},
				Inputs: []recipe.Placed{{SHA256: digest.Of(tool), Size: int64(len(tool)), At: "/bin/make", Executable: true}},
				Steps:  []recipe.Step{{Run: []string{"/bin/make", text}, Dir: "/"}}, Outputs: []string{"/out/app"},
			}},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// faults kills, pauses and cuts until quiet is closed; then all is well again.
func (w *farmWorld) faults(quiet chan struct{}, ctx context.Context) {
	all := append(append([]*farmProcess{}, w.nodes...), w.workers...)
	n := 0
	for {
		select {
		case <-quiet:
			w.t.Logf("faults: %d", n)
			return
		case <-ctx.Done():
			return
		case <-time.After(200*time.Millisecond + rand.N(600*time.Millisecond)):
		}
		n++ // and several may be under way
		p, wire, long := all[rand.IntN(len(all))], w.wires[rand.IntN(len(w.wires))], rand.N(4*time.Second)
		switch rand.IntN(5) {
		case 0, 1:
			p.signal(syscall.SIGKILL)
		case 2:
			p.signal(syscall.SIGSTOP)
			time.AfterFunc(long, func() { p.signal(syscall.SIGCONT) })
		case 3:
			wire.cut.Store(true)
			time.AfterFunc(long, func() { wire.cut.Store(false) })
		case 4:
			wire.closeAll()
		}
	}
}

// publisher says outcomes as a node does, and remembers what it said of which.
type publisher struct {
	mu   sync.Mutex
	said map[int64]map[string]bool
}

func (p *publisher) publish(ctx context.Context, t *testing.T, q *farm.Queue, origin string) {
	for ctx.Err() == nil {
		out, err := q.Decided(ctx, origin, 0)
		if err == nil && out != nil {
			var first []byte
			if first, err = q.Draft(ctx, out.ID, fmt.Append(nil, origin, " ", out.ID, " ", rand.Uint64())); err == nil {
				p.mu.Lock()
				if p.said == nil {
					p.said = map[int64]map[string]bool{}
				}
				if p.said[out.ID] == nil {
					p.said[out.ID] = map[string]bool{}
				}
				p.said[out.ID][string(first)] = true
				p.mu.Unlock()
				err = q.Said(ctx, out.ID, out.ID)
			}
		} else if err == nil {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, farm.ErrState) && !errors.Is(err, store.ErrBusy) {
			t.Errorf("publishing: %v", err)
			return
		}
	}
}

// await waits until all is said. An operator hurries what waits.
func (w *farmWorld) await(ctx context.Context, orders int) {
	for ctx.Err() == nil {
		n, err := w.queue.Counts(ctx)
		if err == nil && n[farm.Said] == int64(orders) {
			return
		}
		rows, _ := w.queue.List(ctx, 0, nil, farm.MaxRows)
		for _, r := range rows {
			if r.State == farm.Waiting && time.Until(r.Ready) > time.Second {
				_ = w.queue.Hurry(ctx, r.ID) // somebody may have taken it
			}
		}
		time.Sleep(300 * time.Millisecond)
	}
	n, err := w.queue.Counts(context.Background())
	w.t.Errorf("not all is said in time: %v, %v", n, err)
}

// judge looks at each order: none is lost, none is said twice.
func (w *farmWorld) judge(ids map[int64]int, p *publisher) {
	attempts, lost, failed := 0, 0, 0
	for id, i := range ids {
		out, err := w.queue.Outcome(context.Background(), id)
		if err != nil || out.State != farm.Said || len(p.said[id]) != 1 || !p.said[id][string(out.Envelope)] {
			w.t.Errorf("order %d: %s, %v, said %d different things", id, out.State, err, len(p.said[id]))
			continue
		}
		for k, try := range out.Tried {
			attempts++
			if try.N != int64(k)+1 || k > 0 && try.Epoch <= out.Tried[k-1].Epoch {
				w.t.Errorf("order %d: attempt %d is %+v", id, k+1, try)
			}
			if try.Attempt.Reason == statement.ReasonLost {
				lost++
			}
		}
		last := out.Tried[len(out.Tried)-1]
		switch {
		case out.Row.Outcome == statement.Identical && last.LogSize == int64(len(fmt.Sprintf("building artifact %d\n", i))):
		case out.Row.Outcome == statement.Failed && len(out.Tried) == farm.TriesTroubled:
			failed++ // lost as often as one can be
		default:
			w.t.Errorf("order %d: %s after %+v", id, out.Row.Outcome, out.Tried)
		}
	}
	starts := 0
	for _, x := range append(append([]*farmProcess{}, w.nodes...), w.workers...) {
		x.mu.Lock()
		starts += x.starts
		x.mu.Unlock()
	}
	w.t.Logf("orders %d, attempts %d, of which lost %d; failed for good %d; starts of 8 processes %d", len(ids), attempts, lost, failed, starts)
	if lost == 0 || starts == 8 {
		w.t.Error("nothing went wrong: the faults did nothing")
	}
}
