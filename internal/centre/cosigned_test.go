package centre

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vitrine.example/internal/circle"
	"vitrine.example/internal/fixture"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// TestCosignedOfHostileMembers: a member that gives no checkpoint, another log's,
// an unsigned one, too much or a redirection gives nothing.
func TestCosignedOfHostileMembers(t *testing.T) {
	n := connect(t, newNode(t, InitOptions{URL: "https://vendor.example"})).local()
	w, forger := fixture.New("member", key.P256, "ams"), fixture.New("forger", key.P256)
	w.Fill(3)
	forger.Fill(3)
	good := w.Signed(w.Checkpoint(), w.Witnesses...).Marshal()
	answer := func(http.ResponseWriter) {}
	peer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { answer(rw) }))
	defer peer.Close()
	m := &circle.Member{State: circle.Confirmed, Member: statement.Member{
		Origin: w.Origin, URL: peer.URL, Log: []statement.MemberKey{{Key: w.Log.Verifier().String()}}}}
	text := func(b []byte) func(http.ResponseWriter) {
		return func(rw http.ResponseWriter) { _, _ = rw.Write(b) }
	}
	for name, x := range map[string]struct {
		f  func(http.ResponseWriter)
		ok bool
	}{
		"its own":          {text(good), true},
		"nothing":          {text(nil), false},
		"garbage":          {text([]byte("<html>")), false},
		"another's":        {text(forger.Signed(forger.Checkpoint()).Marshal()), false},
		"an error":         {func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusInternalServerError) }, false},
		"a redirection":    {func(rw http.ResponseWriter) { rw.Header().Set("Location", "/x"); rw.WriteHeader(http.StatusFound) }, false},
		"too much":         {text([]byte(string(good) + strings.Repeat("— x AAAA\n", 20_000))), false},
		"a flipped entry":  {text([]byte(strings.Replace(string(good), "\n3\n", "\n4\n", 1))), false},
		"no signature":     {text([]byte(fmt.Sprintf("%s\n3\n%s\n", w.Origin, w.Checkpoint().Root))), false},
		"what others sign": {text((&tlog.SignedCheckpoint{Checkpoint: w.Checkpoint(), Signatures: w.Signed(w.Checkpoint(), w.Witnesses...).Signatures[1:]}).Marshal()), false},
	} {
		answer = x.f
		cp, err := n.cosignedOf(within(t), m, m.URL)
		if (err == nil) != x.ok || x.ok && len(cp.Signatures) != 2 {
			t.Errorf("%s: %+v, %v", name, cp, err)
		}
	}
}

// TestCosignedWaitsForTheMirror: a checkpoint beyond the copy is kept until the
// copy has come so far; who lacks cosignatures is not asked for ever.
func TestCosignedWaitsForTheMirror(t *testing.T) {
	var c cosigned
	at := func(size int64) *tlog.SignedCheckpoint {
		return &tlog.SignedCheckpoint{Checkpoint: tlog.Checkpoint{Origin: "a.example", Size: size}}
	}
	if now, more := c.note("a.example", at(5), 3); now != nil || !more {
		t.Errorf("beyond the copy: %v, %v", now, more)
	}
	c.note("a.example", at(6), 3) // the first one stays, or none would ever be reached
	if now, _ := c.note("a.example", nil, 5); now == nil || now.Size != 5 {
		t.Errorf("once the copy is there: %v", now)
	}
	asked := 0
	for more := true; more && asked < 100; asked++ {
		_, more = c.note("a.example", at(5), 5)
	}
	if asked > cosignedTries {
		t.Errorf("asked %d times for what nobody has", asked)
	}
	if now, more := c.note("a.example", nil, 9); now.Size != 5 || !more {
		t.Errorf("the copy has grown: %v, %v", now, more)
	}
}

// TestMoreOnTheOwnCheckpoint: cosignatures that came late are put to the very
// checkpoint that they are of, and to no other.
func TestMoreOnTheOwnCheckpoint(t *testing.T) {
	n := connect(t, newNode(t, InitOptions{URL: "https://vendor.example"})).local()
	w := fixture.New("own", key.P256, "ams", "sin")
	w.Fill(3)
	published, all := w.Signed(w.Checkpoint(), w.Witnesses[0]), w.Signed(w.Checkpoint(), w.Witnesses...)
	if got := n.More(published); got != published {
		t.Errorf("more, where nothing came: %+v", got)
	}
	n.cosigned.note("vendor.example", all, 3)
	if got := n.More(published); len(got.Signatures) != 3 {
		t.Errorf("%d signatures, want 3", len(got.Signatures))
	}
	w.Fill(1)
	newer := w.Signed(w.Checkpoint())
	if got := n.More(newer); got != newer {
		t.Errorf("cosignatures of another checkpoint: %+v", got)
	}
}
