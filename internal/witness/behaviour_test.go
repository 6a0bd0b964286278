package witness_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/witness"
	"vitrine.example/tlog"
)

const never = "does not know"

// A log that shows two histories is held until an operator accepts it; what it
// showed is kept in full.
func TestForkHoldsTheLog(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		ctx := t.Context()
		l := addLog(t, w, newLog(t, "log.example/fork")).grow(20, "entry")
		other := l.fork(3, 20, "other")
		wants(t, post(w, l.request(0, 5)), 200, "")
		wants(t, post(w, l.request(5, 9)), 200, "")
		wants(t, post(w, other.request(9, 9)), 422, "different root")
		s, err := w.Get(ctx, l.origin)
		if err != nil || !s.Forked || s.Size != 9 {
			t.Fatalf("%+v, %v", s, err)
		}
		wants(t, post(w, l.request(9, 12)), 503, "two histories")
		wants(t, post(w, l.request(9, 9)), 503, "two histories")
		wants(t, post(w, l.request(0, 9)), 409, "9\n") // what is asked is still answered
		wants(t, ask(w, http.MethodGet, "/", ""), 200, "HAS SIGNED TWO HISTORIES")

		ev, err := w.Evidence(ctx, l.origin)
		if err != nil || len(ev) != 1 || ev[0].Kind != witness.Fork || !ev[0].Accepted.IsZero() {
			t.Fatalf("%+v, %v", ev, err)
		}
		a, errA := tlog.ParseCheckpoint(ev[0].Cosigned)
		b, errB := tlog.ParseCheckpoint(ev[0].Other)
		if errA != nil || errB != nil || a.Size != 9 || b.Size != 9 || a.Root != l.root(9) || b.Root != other.root(9) {
			t.Fatalf("%v %v, %+v, %+v", errA, errB, a, b)
		}
		for _, c := range []*tlog.SignedCheckpoint{a, b} {
			if _, err := l.signer.Verifier().Verify(c); err != nil {
				t.Error(err)
			}
		}

		if err := w.Resume(ctx, l.origin, " "); err == nil {
			t.Error("resumed without a reason")
		}
		if err := w.Resume(ctx, l.origin, "the backup was restored by mistake"); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(9, 12)), 200, "")
		// Who repeats what was accepted cannot stop the log again.
		wants(t, post(w, other.request(9, 9)), 409, "12\n")
		wants(t, post(w, l.request(12, 13)), 200, "")
		// Another one of the other history does.
		wants(t, post(w, other.request(12, 12)), 409, "13\n")
		wants(t, post(w, l.request(13, 14)), 503, "two histories")
		if ev, err = w.Evidence(ctx, l.origin); err != nil || len(ev) != 2 || ev[0].Accepted.IsZero() || !ev[1].Accepted.IsZero() {
			t.Errorf("%+v, %v", ev, err)
		}
	})
}

// A smaller checkpoint that comes late is answered as the text says, and still
// shows a fork.
func TestLateForkIsSeen(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		for name, c := range map[string]struct {
			old    int64
			status int
		}{"stale": {5, 409}, "zero": {0, 409}, "above": {9, 400}} {
			l := addLog(t, w, newLog(t, "log.example/"+name)).grow(20, "entry")
			wants(t, post(w, l.request(0, 5)), 200, "")
			wants(t, post(w, l.request(5, 7)), 200, "")
			wants(t, post(w, l.request(7, 9)), 200, "")
			q := l.fork(3, 20, "other").request(5, 7)
			q.Old = c.old
			wants(t, post(w, q), c.status, "")
			wants(t, post(w, l.request(9, 12)), 503, "two histories")
		}
	})
}

// A proof that does not hold proves nothing, as anyone may have made it; but the
// checkpoint that came with it is remembered until the log has grown there.
func TestSuspectBecomesFork(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		ctx := t.Context()
		l := addLog(t, w, newLog(t, "log.example/suspect")).grow(40, "entry")
		other := l.fork(3, 30, "other")
		wants(t, post(w, l.request(0, 5)), 200, "")
		wants(t, post(w, other.request(5, 9)), 422, "proof")
		wants(t, post(w, other.request(5, 9)), 422, "proof")
		spoilt := l.request(5, 12) // an honest checkpoint with a bad proof
		spoilt.Proof[0][0] ^= 1
		wants(t, post(w, spoilt), 422, "proof")
		ev, err := w.Evidence(ctx, l.origin)
		if err != nil || len(ev) != 2 || ev[0].Kind != witness.Suspect {
			t.Fatalf("%+v, %v", ev, err)
		}
		wants(t, post(w, l.request(5, 8)), 200, "")
		wants(t, post(w, l.request(8, 9)), 503, "two histories")
		if s, err := w.Get(ctx, l.origin); err != nil || s.Size != 8 || !s.Forked {
			t.Errorf("%+v, %v", s, err)
		}
		if err := w.Resume(ctx, l.origin, "seen"); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(8, 9)), 200, "")
		wants(t, post(w, l.request(9, 12)), 200, "")
	})
}

// Two suspects of one size are one hold: an operator sees both, accepts them with
// one reason, and the log is cosigned at that size as often as it asks.
func TestSuspectsOfOneSize(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		l := addLog(t, w, newLog(t, "log.example/suspects").grow(9, "entry"))
		wants(t, post(w, l.request(0, 8)), http.StatusOK, "")
		for _, entry := range []string{"second", "third"} {
			wants(t, post(w, l.fork(2, 9, entry).request(8, 9)), http.StatusUnprocessableEntity, "")
		}
		wants(t, post(w, l.request(8, 9)), http.StatusServiceUnavailable, "")
		if err := w.Resume(t.Context(), l.origin, "both were a test"); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(8, 9)), http.StatusOK, "")
		wants(t, post(w, l.request(9, 9)), http.StatusOK, "")
	})
}

func TestEvidenceIsBounded(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		l := addLog(t, w, newLog(t, "log.example/many")).grow(100, "entry")
		wants(t, post(w, l.request(0, 5)), 200, "")
		for i := range int64(witness.MaxSuspects + 5) {
			q := l.request(5, 10+i)
			q.Proof[0][0] ^= 1
			wants(t, post(w, q), 422, "")
		}
		for i := range witness.MaxForks + 5 {
			wants(t, post(w, l.fork(3, 5, strings.Repeat("x", i+1)).request(5, 5)), 422, "")
		}
		ev, err := w.Evidence(t.Context(), l.origin)
		if err != nil || len(ev) != witness.MaxForks+witness.MaxSuspects {
			t.Errorf("%d, %v", len(ev), err)
		}
	})
}

func TestPauseAndKeys(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		ctx := t.Context()
		l := newLog(t, "log.example/keys").grow(20, "entry")
		wants(t, post(w, l.request(0, 5)), 404, never)
		addLog(t, w, l)
		addLog(t, w, l) // as it is
		wants(t, post(w, l.request(0, 5)), 200, "")
		if err := w.Pause(ctx, l.origin, "maintenance"); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(5, 6)), 503, "paused")
		wants(t, post(w, l.request(3, 6)), 409, "5\n")
		if err := w.Resume(ctx, l.origin, "done"); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(5, 6)), 200, "")

		next := newLog(t, l.origin)
		if err := w.Add(ctx, next.log()); !errors.Is(err, witness.ErrDifferent) {
			t.Error(err)
		}
		old := *l
		l.signer = next.signer
		wants(t, post(w, l.request(6, 7)), 403, "")
		if err := w.SetKeys(ctx, l.origin, []tlog.Verifier{next.signer.Verifier()}); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(6, 7)), 200, "")
		wants(t, post(w, old.request(7, 8)), 403, "")

		for _, err := range []error{
			w.Pause(ctx, "log.example/none", "x"), w.Resume(ctx, "log.example/none", "x"),
			w.SetKeys(ctx, "log.example/none", []tlog.Verifier{next.signer.Verifier()}),
		} {
			if !errors.Is(err, witness.ErrUnknown) {
				t.Error(err)
			}
		}
		list, err := w.List(ctx, "", 10)
		if err != nil || len(list) != 1 || list[0].Origin != l.origin || list[0].Size != 7 || list[0].Reason != "done" || list[0].Note != "a test" {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err = w.List(ctx, l.origin, 10); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

func TestLogsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, o witness.Options) {
		good := newLog(t, "log.example").log()
		for name, c := range map[string]func(l *witness.Log){
			"no origin":       func(l *witness.Log) { l.Origin = "" },
			"two lines":       func(l *witness.Log) { l.Origin = "a\nb" },
			"long origin":     func(l *witness.Log) { l.Origin = strings.Repeat("a", 256) },
			"no key":          func(l *witness.Log) { l.Keys = nil },
			"nine keys":       func(l *witness.Log) { l.Keys = make([]tlog.Verifier, 9) },
			"one key twice":   func(l *witness.Log) { l.Keys = append(l.Keys, l.Keys[0]) },
			"its own key":     func(l *witness.Log) { l.Keys = w.Verifiers()[:1] },
			"a zero key":      func(l *witness.Log) { l.Keys = []tlog.Verifier{{}} },
			"a NUL":           func(l *witness.Log) { l.Note = "\x00" },
			"a negative rate": func(l *witness.Log) { l.PerDay = -1 },
		} {
			l := good
			c(&l)
			if err := w.Add(t.Context(), l); err == nil {
				t.Errorf("%s: added", name)
			}
		}
		// The witness's ML-DSA key would make its own cosignature the log's.
		for _, own := range w.Verifiers() {
			if err := w.Add(t.Context(), witness.Log{Origin: "log.example", Keys: []tlog.Verifier{own}}); err == nil {
				t.Errorf("%s: added", own.Type())
			}
		}
		o.Limits.Logs = 1
		small := newWitness(t, o)
		if err := small.Add(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		if err := small.Add(t.Context(), newLog(t, "log2.example").log()); !errors.Is(err, witness.ErrFull) {
			t.Error(err)
		}
	})
}

// The clock of the keys may refuse: nothing is signed, and nothing moves.
func TestClockRefuses(t *testing.T) {
	each(t, func(t *testing.T, _ *witness.Witness, o witness.Options) {
		var refusing error
		o.Signers = signers(t, "witness", func() (time.Time, error) { return time.Now(), refusing })
		w := newWitness(t, o)
		l := addLog(t, w, newLog(t, "log.example")).grow(20, "entry")
		wants(t, post(w, l.request(0, 5)), 200, "")
		refusing = errors.New("the clock ran backwards")
		wants(t, post(w, l.request(5, 6)), 503, "cannot sign")
		wants(t, post(w, l.request(5, 5)), 503, "cannot sign")
		refusing = nil
		wants(t, post(w, l.request(5, 7)), 200, "")
	})
}

func TestSignersRefused(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, o witness.Options) {
		both := o.Signers
		other, err := tlog.NewSigner("another.example", tlog.Ed25519Cosignature, newKey(t), realTime)
		if err != nil {
			t.Fatal(err)
		}
		second, err := tlog.NewSigner(witnessName, tlog.Ed25519Cosignature, newKey(t), realTime)
		if err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string][]*tlog.Signer{
			"none": nil, "two names": append(both[:2:2], other), "a key twice": append(both[:2:2], both[0]),
			"a log's key": {newLog(t, "log.example").signer},
		} {
			o.Signers = s
			if _, err := witness.New(o); err == nil {
				t.Errorf("%s: started", name)
			}
		}
		o.Signers = append(both[:2:2], second) // one takes the place of the other
		if w, err := witness.New(o); err != nil || len(w.Verifiers()) != 3 {
			t.Errorf("two of a type: %v", err)
		}
		o.Signers = both
		o.Submission = "ftp://witness.example"
		if _, err := witness.New(o); err == nil {
			t.Error("started with an ftp URL")
		}
	})
}

// A log with a rate of its own is held to it; who repeats its newest checkpoint
// does not use up what it needs to grow.
func TestRates(t *testing.T) {
	each(t, func(t *testing.T, _ *witness.Witness, o witness.Options) {
		now := time.Now()
		o.Now = func() time.Time { return now }
		w := newWitness(t, o)
		l := newLog(t, "log.example").grow(50, "entry")
		log := l.log()
		log.PerDay = 24 // one an hour, ten at once
		if err := w.Add(t.Context(), log); err != nil {
			t.Fatal(err)
		}
		wants(t, post(w, l.request(0, 1)), 200, "")
		for range 10 {
			wants(t, post(w, l.request(1, 1)), 200, "")
		}
		rec := post(w, l.request(1, 1))
		wants(t, rec, 429, "at most")
		if rec.Header().Get("Retry-After") != "3600" {
			t.Errorf("Retry-After %q", rec.Header().Get("Retry-After"))
		}
		for i := int64(1); i < 10; i++ {
			wants(t, post(w, l.request(i, i+1)), 200, "")
		}
		wants(t, post(w, l.request(10, 11)), 429, "")
		now = now.Add(time.Hour)
		wants(t, post(w, l.request(10, 11)), 200, "")
		wants(t, post(w, l.request(11, 12)), 429, "")
	})
}

func TestHTTP(t *testing.T) {
	each(t, func(t *testing.T, _ *witness.Witness, o witness.Options) {
		o.Submission, o.Version, o.About = "https://witness.example/x", "v9", "Operated by day."
		w := newWitness(t, o)
		l := addLog(t, w, newLog(t, "log.example")).grow(5, "entry")
		wants(t, post(w, l.request(0, 5)), 200, "\u2014 "+witnessName+" ")
		for _, c := range []struct {
			method, path string
			status       int
			allow        string
		}{
			{"GET", "/add-checkpoint", 405, "POST"}, {"PUT", "/sign-subtree", 405, "POST"}, {"POST", "/", 405, "GET, HEAD"},
			{"DELETE", "/witness.v0.json", 405, "GET, HEAD"}, {"GET", "/nothing", 404, ""}, {"GET", "/a/checkpoint", 404, ""},
			{"GET", "/add-checkpoint/", 404, ""}, {"GET", "//checkpoint", 404, ""}, {"GET", "/%2e/checkpoint", 404, ""},
			{"HEAD", "/", 200, ""}, {"GET", "/" + strings.Repeat("0", 64) + "/checkpoint", 404, ""},
			{"POST", "/" + strings.Repeat("0", 64) + "/checkpoint", 405, "GET, HEAD"},
		} {
			rec := ask(w, c.method, c.path, "")
			if rec.Code != c.status || rec.Header().Get("Allow") != c.allow {
				t.Errorf("%s %s: %d, Allow %q", c.method, c.path, rec.Code, rec.Header().Get("Allow"))
			}
		}
		rec := ask(w, "GET", "/witness.v0.json", "")
		wants(t, rec, 200, `"submission_url":"https://witness.example/x/"`)
		wants(t, rec, 200, `"software":{"name":"vitrine","version":"v9"}`)
		wants(t, rec, 200, w.Verifiers()[1].String())
		wants(t, ask(w, "GET", "/", ""), 200, "Operated by day.")
		rec = post(w, l.request(0, 5))
		if rec.Code != 409 || rec.Header().Get("Content-Type") != "text/x.tlog.size" || rec.Body.String() != "5\n" {
			t.Errorf("%d %q %q", rec.Code, rec.Header(), rec.Body)
		}
	})
}

// Bodies are bounded, whether they say their length or not, and in time.
func TestBodies(t *testing.T) {
	each(t, func(t *testing.T, _ *witness.Witness, o witness.Options) {
		patient := httptest.NewServer(newWitness(t, o).Handler())
		defer patient.Close()
		o.Limits.Read = 100 * time.Millisecond
		hasty := httptest.NewServer(newWitness(t, o).Handler())
		defer hasty.Close()
		for name, body := range map[string]*endless{"long": {64 << 20, false}, "of unknown length": {64 << 20, false}, "slow": {10, true}} {
			srv, want := patient, 413
			if body.stall {
				srv, want = hasty, 400
			}
			req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/add-checkpoint", body)
			if err != nil {
				t.Fatal(err)
			}
			if name == "long" {
				req.ContentLength = 64 << 20
			}
			res, err := srv.Client().Do(req)
			if err != nil {
				continue // it hung up on us
			}
			if res.StatusCode != want {
				t.Errorf("%s: %d", name, res.StatusCode)
			}
			if err := res.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// endless is a body that goes on, or stalls.
type endless struct {
	left  int
	stall bool
}

func (e *endless) Read(b []byte) (int, error) {
	if e.stall && e.left == 0 {
		time.Sleep(time.Second)
	}
	n := copy(b, "old 1\n")
	if e.left -= n; e.left < 0 {
		if !e.stall {
			return 0, errors.New("all was sent")
		}
		e.left = 0
	}
	return n, nil
}

// A list adds what is new and touches nothing else.
func TestAddList(t *testing.T) {
	each(t, func(t *testing.T, w *witness.Witness, _ witness.Options) {
		known, changed, fresh := newLog(t, "known.example"), newLog(t, "changed.example"), newLog(t, "fresh.example")
		addLog(t, w, known)
		addLog(t, w, changed)
		list, err := witness.ParseLogList([]byte("logs/v0\n" + item(known) + item(newLog(t, changed.origin)) + item(fresh)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.AddList(t.Context(), list)
		if err != nil || r.Known != 1 || len(r.Added) != 1 || r.Added[0] != fresh.origin || len(r.Different) != 1 || r.Different[0] != changed.origin {
			t.Errorf("%+v, %v", r, err)
		}
		s, err := w.Get(t.Context(), changed.origin)
		if err != nil || !s.Keys[0].Equal(changed.signer.Verifier()) {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err = w.Get(t.Context(), fresh.origin); err != nil || s.PerDay != 24 || s.Note != "somebody" {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func item(l *testLog) string {
	return "vkey " + l.signer.Verifier().String() + "\nqpd 24\ncontact somebody\n"
}
