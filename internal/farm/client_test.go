package farm_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/internal/sandbox"
	"vitrine.example/statement"
)

func TestParseEndpoint(t *testing.T) {
	id := digest.Of([]byte("key"))
	if e, err := farm.ParseEndpoint("https://node.example:8444#sha256:" + id.String()); err != nil || e != (farm.Endpoint{URL: "https://node.example:8444", Key: id}) {
		t.Errorf("%+v, %v", e, err)
	}
	for _, s := range []string{"", "https://node.example:8444", "http://node.example#sha256:" + id.String(), "https://node.example#" + id.String(),
		"https://node.example/path#sha256:" + id.String(), "https://u@node.example#sha256:" + id.String(), "https://:1#sha256:" + id.String(),
		"https://node.example?q#sha256:" + id.String(), "https://node.example#sha256:" + strings.ToUpper(id.String())} {
		if e, err := farm.ParseEndpoint(s); err == nil {
			t.Errorf("%q is %+v", s, e)
		}
	}
}

// Nodes that share a queue stand in for each other.
func TestFailOver(t *testing.T) {
	a := newCentre(t, time.Minute)
	b := a.beside()
	o := client(t, "w", a, b)
	in := a.put("an input")
	id := a.order(1, "hello", in)
	h, err := o.Take(t.Context(), "")
	if err != nil || h == nil {
		t.Fatalf("took %+v, %v", h, err)
	}
	a.stop()
	if _, err := o.Renew(t.Context(), id, h.Epoch, farm.Progress{}); err != nil {
		t.Error(err)
	}
	check(t, o.Log(t.Context(), id, h.Epoch, 0, []byte("log")))
	b.stop()
	a.serve()
	r, err := o.Content(t.Context(), id, h.Epoch, in.SHA256)
	check(t, err)
	if got, err := io.ReadAll(r); string(got) != "an input" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	check(t, r.Close())
	a.stop()
	if _, err := o.Renew(t.Context(), id, h.Epoch, farm.Progress{}); err == nil || errors.Is(err, farm.ErrLost) {
		t.Errorf("with nobody there: %v", err)
	}
}

// A node that does not do what a node does costs time, and no more.
func TestHostileNodes(t *testing.T) {
	flood := func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"says nothing":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"stops":           func(w http.ResponseWriter, r *http.Request) { stall(w, `{"held":{"id":1,`, r) },
		"sends gigabytes": flood,
		"refuses at length": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			flood(w, r)
		},
		"redirects":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "https://node.example/", http.StatusTemporaryRedirect) },
		"sends no JSON":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"a long header":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"says too much":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"lasts":1,"held":null,"more":1}`) },
		"knows nobody":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "who are you", http.StatusForbidden) },
		"has no content": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none", 404) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			me := identity(t)
			bad := hostile(t, h)
			alone, err := farm.NewClient(me, []farm.Endpoint{bad})
			check(t, err)
			alone.Patience = 300 * time.Millisecond
			if held, err := alone.Take(t.Context(), ""); err == nil || errors.Is(err, farm.ErrLost) {
				t.Errorf("took %+v, %v", held, err)
			}
			if d, err := alone.Renew(t.Context(), 1, 1, farm.Progress{}); err == nil || errors.Is(err, farm.ErrLost) {
				t.Errorf("renewed for %s, %v", d, err)
			}
			good := newCentre(t, time.Minute)
			good.know(me, "w")
			id := good.order(1, "hello", good.put("an input"))
			both, err := farm.NewClient(me, []farm.Endpoint{bad, good.endpoint()})
			check(t, err)
			both.Patience = alone.Patience
			if held, err := both.Take(t.Context(), ""); err != nil || held == nil || held.ID != id {
				t.Errorf("took %+v, %v", held, err)
			}
		})
	}
}

// stall sends a beginning and nothing more.
func stall(w http.ResponseWriter, text string, r *http.Request) {
	_, _ = io.WriteString(w, text)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// Content that stops, or is not what it should be, comes from the other node.
func TestContentThatStops(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"stops": func(w http.ResponseWriter, r *http.Request) { stall(w, "an i", r) },
		"breaks off": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "an i")
			panic(http.ErrAbortHandler)
		},
		"ends too early":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "an i") },
		"is another":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "an Input") },
		"does not end":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) },
		"is not there":    func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none", 404) },
		"is not for them": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			good := newCentre(t, time.Minute)
			me := identity(t)
			good.know(me, "w")
			asked := atomic.Int64{}
			node := (&farm.Server{Office: &farm.Local{Queue: good.queue, Store: good.store}, Name: good.name, Holder: good.queue.Holder, Log: quiet()}).Handler()
			bad := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.URL.Path, "/content/") {
					node.ServeHTTP(w, r)
					return
				}
				asked.Add(1)
				h(w, r)
			})
			o, err := farm.NewClient(me, []farm.Endpoint{bad, good.endpoint()})
			check(t, err)
			o.Patience = 300 * time.Millisecond
			cache, err := farm.OpenCache(t.TempDir(), 1<<20)
			check(t, err)
			worker(t, o, engine{func(_ context.Context, job *sandbox.Job, _ io.Writer, outDir string) (sandbox.Result, error) {
				b, err := os.ReadFile(job.Inputs[0].File)
				if err != nil || string(b) != "an input" {
					return sandbox.Result{}, fmt.Errorf("the input is %q, %w", b, err)
				}
				return makes(outDir, "hello")
			}}, func(w *farm.Worker) { w.Cache = cache })
			id := good.order(1, "hello", good.put("an input"))
			if out := good.decided(id); out.Row.Outcome != statement.Identical || len(out.Tried) != 1 {
				t.Errorf("attempts %+v", out.Tried)
			}
			if n := asked.Load(); n != 1 && n != 2 { // net/http asks again by itself where nothing came at all
				t.Errorf("the node that cannot was asked %d times", asked.Load())
			}
		})
	}
}

// What is read as a node can be asked, and reads the same again.
func FuzzParseEndpoint(f *testing.F) {
	id := digest.Of([]byte("key")).String()
	for _, s := range []string{"https://node.example:8444#sha256:" + id, "https://[::1]:1/#sha256:" + id, "https://a#b#sha256:" + id, "https://%00#sha256:" + id} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := farm.ParseEndpoint(s)
		if err != nil {
			return
		}
		if again, err := farm.ParseEndpoint(e.URL + "#sha256:" + e.Key.String()); err != nil || again != e {
			t.Fatalf("%q is %+v, and then %+v, %v", s, e, again, err)
		}
		if _, err := http.NewRequestWithContext(t.Context(), "POST", e.URL+"/farm/v1/take", nil); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	})
}
