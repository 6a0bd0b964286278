package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/farm"
	"vitrine.example/internal/projection/projectiontest"
	"vitrine.example/internal/web"
	"vitrine.example/statement"
)

// bench is a queue as the pages see it.
type bench struct {
	rows   []farm.Row
	open   bool
	log    string
	alerts []web.Alert
}

func (b *bench) List(_ context.Context, before int64, limit int) (out []farm.Row, err error) {
	for _, r := range b.rows {
		if (before == 0 || r.ID < before) && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (b *bench) Job(_ context.Context, id int64) (*web.Job, error) {
	for _, r := range b.rows {
		if r.ID == id {
			return &web.Job{Row: r, Open: b.open, Tried: []farm.Tried{{N: 1, Worker: evil, Outcome: statement.Failed}}}, nil
		}
	}
	return nil, farm.ErrUnknown
}

func (b *bench) Log(_ context.Context, _, from int64) ([]byte, error) {
	return []byte(b.log[min(from, int64(len(b.log))):]), nil
}

func (b *bench) Alerts(context.Context) ([]web.Alert, error) { return b.alerts, nil }

// TestJobPages: what the node builds is shown, its log only where the source is
// public, and a page reloads itself only for who asks for that.
func TestJobPages(t *testing.T) {
	s := newShop(t)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	log := strings.Repeat("compiling …\n", 5000) + "\x1b[1m" + evil + "\n"
	b := &bench{open: true, log: log}
	for id := int64(60); id > 0; id-- {
		b.rows = append(b.rows, farm.Row{
			ID: id, Node: projectionOrigin, Release: s.release.Digest(), Origin: projectionOrigin, Product: "pkg:generic/app", Version: "1.0.0" + evil, Run: 1,
			State: farm.Leased, Tries: 1, Worker: evil, Progress: farm.Progress{Stage: "build" + evil, Done: 2, Total: 5}, Started: at, Added: at, Changed: at,
			LogSize: int64(len(log)), Index: -1,
		})
	}
	for range 12 {
		b.alerts = append(b.alerts, web.Alert{Release: s.release.Digest(), Text: "the last 3 releases were identical, and this one is different" + evil})
	}
	s.o.Jobs = b
	s.build(t)
	for _, path := range []string{"/", "/jobs", "/rebuilds"} {
		body := s.do("GET", path).Body.String()
		if n := strings.Count(body, "Not what its source makes"); n != 10 || !strings.Contains(body, "the last 3 releases were identical") || !strings.Contains(body, "/release/"+s.release.Digest().String()) {
			t.Errorf("%s shows %d alerts, want 10", path, n)
		}
	}
	for path, want := range map[string]string{
		"/jobs": "/jobs?before=11", "/jobs?before=11": "/jobs/10", "/jobs/60": "Follow it", "/jobs/60?follow=1": "Stop that", "/rebuilds": "/jobs",
	} {
		r := s.do("GET", path)
		body := r.Body.String()
		if err := wellFormed(body); err != nil || r.Code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %v, want %q\n%.2000s", path, r.Code, err, want, body)
		}
		if got := r.Header().Get("Refresh"); (got != "") != strings.Contains(path, "follow") {
			t.Errorf("%s reloads: %q", path, got)
		}
		for _, never := range []string{"<script", "\u202e", "\x1b", "ZgotmplZ", "%!"} {
			if strings.Contains(body, never) {
				t.Errorf("%s has %q", path, never)
			}
		}
	}
	if body := s.do("GET", "/jobs/60").Body.String(); !strings.Contains(body, "compiling …") || !strings.Contains(body, "2 of 5") || len(body) > 60<<10 {
		t.Errorf("the newest log is not there, or all of it: %d bytes", len(body))
	}
	r := s.do("GET", "/jobs/60/log")
	if r.Body.String() != log || r.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("the log: %d bytes of %d, %v", r.Body.Len(), len(log), r.Header())
	}
	b.open = false
	if body := s.do("GET", "/jobs/60").Body.String(); strings.Contains(body, "compiling") || !strings.Contains(body, "not public") {
		t.Error("the log of a source that is not public is shown")
	}
	if code := s.do("GET", "/jobs/60/log").Code; code != 404 {
		t.Errorf("and given: %d", code)
	}
}

// projectionOrigin is the log of a shop.
const projectionOrigin = projectiontest.Origin
