package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
)

// Jobs are the rebuilds that this node has asked for, finished or not.
type Jobs interface {
	// List returns those below a number, all where that is 0, the newest first.
	List(ctx context.Context, before int64, limit int) ([]farm.Row, error)
	// Job returns one, or [farm.ErrUnknown].
	Job(ctx context.Context, id int64) (*Job, error)
	// Log returns some of the log of a job's newest attempt, from an offset on, as
	// long as it is not published; nothing at its end.
	Log(ctx context.Context, id, from int64) ([]byte, error)
	// Alerts are the releases that are not what their source makes, though those
	// before them were, and that nobody has acknowledged.
	Alerts(ctx context.Context) ([]Alert, error)
}

// Alert is one of them.
type Alert struct {
	Release digest.Digest
	Text    string // what is wrong, in words
}

// maxAlerts bounds how many are shown.
const maxAlerts = 10

func (s *site) alerts(ctx context.Context) ([]Alert, error) {
	if s.Jobs == nil {
		return nil, nil
	}
	all, err := s.Jobs.Alerts(ctx)
	return all[:min(len(all), maxAlerts)], err
}

// Job is one rebuild.
type Job struct {
	farm.Row
	Tried []farm.Tried
	// Open says that anyone may read the log: it quotes the source, which is public.
	Open bool
}

// How much of the jobs is shown.
const (
	pageJobs = 50
	maxTail  = 32 << 10 // bytes of the newest log
	jobEvery = "5"      // seconds between reloads of who follows
)

// jobsPage lists the jobs.
type jobsPage struct {
	Rebuilds bool // this node does
	Alerts   []Alert
	Jobs     []farm.Row
	Older    int64 // number below which there are more; 0: there are none
	First    bool
}

func (s *site) jobs(r *http.Request) (string, any, error) {
	before, err := before(r)
	if err != nil {
		return "", nil, err
	}
	p := jobsPage{Rebuilds: s.Jobs != nil, First: before == 0}
	if s.Jobs == nil {
		return "jobs", p, nil
	}
	if p.Alerts, err = s.alerts(r.Context()); err != nil {
		return "", nil, err
	}
	p.Jobs, err = s.Jobs.List(r.Context(), before, pageJobs+1)
	if err == nil && len(p.Jobs) > pageJobs {
		p.Jobs = p.Jobs[:pageJobs]
		p.Older = p.Jobs[pageJobs-1].ID
	}
	return "jobs", p, err
}

// jobPage is one job, with the end of its newest log.
type jobPage struct {
	*Job
	Base   string // address of the log in which the outcome stands
	Log    string
	Cut    bool // Log is not all of it
	Follow bool // the page reloads itself
	Live   bool // something is going on
}

// live has a browser load a page again and again, where its reader asked for
// that: no script is needed, and nobody's reading is disturbed unasked.
func (s *site) live(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("follow") == "1" {
			w.Header().Set("Refresh", jobEvery)
		}
		next(w, r)
	}
}

func (s *site) oneJob(r *http.Request) (*Job, error) {
	id, err := number(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if s.Jobs == nil {
		return nil, errNotFound
	}
	j, err := s.Jobs.Job(r.Context(), id)
	if errors.Is(err, farm.ErrUnknown) {
		return nil, errNotFound
	}
	return j, err
}

func (s *site) job(r *http.Request) (string, any, error) {
	j, err := s.oneJob(r)
	if err != nil {
		return "", nil, err
	}
	p := jobPage{Job: j, Base: s.base(j.Node), Follow: r.URL.Query().Get("follow") == "1", Live: j.State == farm.Waiting || j.State == farm.Leased}
	if !j.Open {
		return "job", p, nil
	}
	from := max(j.LogSize-maxTail, 0)
	raw, err := s.Jobs.Log(r.Context(), j.ID, from)
	if err != nil && !errors.Is(err, farm.ErrUnknown) {
		return "", nil, err
	}
	text := string(raw)
	if p.Cut = from > 0; p.Cut {
		_, text, _ = strings.Cut(text, "\n") // the first line may be half of one
	}
	p.Log = plain(text)
	return "job", p, nil
}

// jobLog serves what there is of the newest log, as text.
func (s *site) jobLog(w http.ResponseWriter, r *http.Request) {
	j, err := s.oneJob(r)
	if err == nil && !j.Open {
		err = errNotFound
	}
	if err != nil {
		code, text := s.fail(r, err)
		problem(w, code, text)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rc := http.NewResponseController(w)
	for from := int64(0); r.Method != http.MethodHead && from < farm.MaxLog; {
		b, err := s.Jobs.Log(r.Context(), j.ID, from)
		if err != nil {
			s.Logger.Error("reading the log of a rebuild", "rebuild", j.ID, "err", err)
			panic(http.ErrAbortHandler) // the client sees an answer cut short
		}
		if len(b) == 0 {
			return
		}
		if err := sendPiece(rc, w, b); err != nil {
			return // the client has gone
		}
		from += int64(len(b))
	}
}

// plain is a text of strangers as a page may show it: without what moves the
// cursor or turns the direction of writing around.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) || c == '\n' || c == '\t' {
			return c
		}
		if c == '\r' {
			return -1
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// jobState says what a job does, in words.
func jobState(r farm.Row) string {
	if r.State != farm.Leased {
		return r.State.String()
	}
	p := r.Progress
	switch {
	case p.Stage == "":
		return "building"
	case p.Total > 0:
		return fmt.Sprintf("%s, %d of %d", p.Stage, p.Done, p.Total)
	}
	return p.Stage
}
