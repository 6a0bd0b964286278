package centre

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/holdings"
	"vitrine.example/internal/mirror"
	"vitrine.example/internal/projection"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/key"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// mirroredLog is a mirrored log as the projection follows it.
type mirroredLog struct{ *mirror.Log }

func (l mirroredLog) Published(ctx context.Context) (int64, time.Time, error) {
	n, err := l.Log.Published(ctx)
	return n, time.Time{}, err
}

func (l mirroredLog) Leaves(_ context.Context, index int64, n int) ([][]byte, error) {
	all, err := l.Bundle(index / tlog.TileWidth)
	if err != nil {
		return nil, err
	}
	all = all[index%tlog.TileWidth:]
	return all[:min(n, len(all))], nil
}

const vendorOrigin = "vendor.example"

// mirrorVendor lets a centre mirror a vendor's log, and follow it.
func mirrorVendor(t *testing.T, v *Handle, n *Node, addr string) {
	t.Helper()
	a, err := n.askMirror(within(t), MirrorAsk{Do: "add", Origin: vendorOrigin, Keys: v.Info().Log})
	check(t, err)
	_, err = v.Mirror(within(t), MirrorAsk{Do: "push", URL: addr + "/mirror/", Keys: a.Keys})
	check(t, err)
	l, err := n.mirror.Log(vendorOrigin)
	check(t, err)
	k, err := key.ParsePublic([]byte(v.Info().Statement[0]))
	check(t, err)
	keys := func(context.Context) ([]key.Public, error) { return []key.Public{k}, nil }
	check(t, n.projection.Follow(within(t), vendorOrigin, mirroredLog{l}, keys, heldEnvelopes{n.holdings}))
}

// until waits for something to come true.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for ctx := within(t); !f(); {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			t.Fatalf("waiting until %s: %v", what, err)
		}
	}
}

// TestStatementsOfAnotherNode: a centre fetches the statements and files behind
// the log that it mirrors and shows them; the vendor, wiped, gets them back.
func TestStatementsOfAnotherNode(t *testing.T) {
	storetest.URLs(t, func(t *testing.T, url string) {
		vendor := newNode(t, InitOptions{URL: "https://" + vendorOrigin})
		dir := newNode(t, InitOptions{URL: "https://centre.example"})
		check(t, appendTo(filepath.Join(dir, ConfigFile), "\ndatabase = \""+url+"\"\n"))
		at, stopVendor := serve(t, vendor)
		v := connect(t, vendor)
		first, second := publish(t, v, "1.0.0", "first"), publish(t, v, "1.1.0", "second")
		n, addr, _ := serveNode(t, dir)
		mirrorVendor(t, v, n, addr)
		n.holdings.SetMembers([]holdings.Member{{Origin: "centre.example", URL: addr}, {Origin: vendorOrigin, URL: at}})
		until(t, "the centre shows both statements", func() bool {
			for i, p := range []digest.Digest{first.Envelope.Digest(), second.Envelope.Digest()} {
				e, err := n.projection.EntryOf(within(t), vendorOrigin, int64(i))
				if err != nil && !errors.Is(err, projection.ErrUnknown) {
					t.Fatal(err)
				}
				if e.Envelope != p {
					return false
				}
			}
			return true
		})
		until(t, "the centre has the files", func() bool {
			s, err := n.holdings.Status(within(t), vendorOrigin)
			check(t, err)
			return s.Content == 0 && s.Held == 2 && s.Problem == ""
		})
		copied := addr + "/mirror/" + mirror.OriginHash(vendorOrigin)
		for _, a := range []string{at + "/envelope/1", copied + "/envelope/1"} {
			if code, h, b := get(t, a); code != http.StatusOK || b != string(second.Envelope.Bytes()) || h.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %q", a, code, b)
			}
		}
		for _, a := range []string{at + "/envelope/2", copied + "/envelope/2", copied + "/envelope/01", addr + "/envelope/0", addr + "/mirror/" + strings.Repeat("0", 64) + "/envelope/0"} {
			if code, _, b := get(t, a); code != http.StatusNotFound && code != http.StatusBadRequest {
				t.Errorf("%s: %d %q", a, code, b)
			}
		}
		if code, _, b := get(t, addr+"/content/"+digest.Of([]byte("second")).String()); code != http.StatusOK || b != "second" {
			t.Errorf("the file at the centre: %d %q", code, b)
		}
		all, err := n.holdingsStatus(within(t))
		if err != nil || len(all) != 1 || all[0].Missing() != 0 {
			t.Errorf("%+v, %v", all, err)
		}

		check(t, v.Close(within(t)))
		stopVendor()
		for _, name := range []string{logDir, contentDir, "vitrine.db", "vitrine.db-wal", "vitrine.db-shm"} {
			check(t, os.RemoveAll(filepath.Join(vendor, name)))
		}
		r, err := RestoreLog(within(t), vendor, RestoreOptions{From: []string{copied}, AcceptNewest: true})
		check(t, err)
		if r.Size != 2 || r.Statements != 2 || len(r.Missing) != 0 {
			t.Errorf("restored %+v of %+v", r, r.Restored)
		}
		v = connect(t, vendor)
		_, err = v.Rebuild(within(t), nil)
		check(t, err)
		if got := listed(t, v); len(got) != 2 {
			t.Errorf("the vendor shows %v after its restore", got)
		}
	})
}

// TestWithheldIsLogged: what the vendor never gives stands in the centre's own
// log after its deadline, under its own key, and on its pages.
func TestWithheldIsLogged(t *testing.T) {
	vendor := newNode(t, InitOptions{URL: "https://" + vendorOrigin})
	dir := newNode(t, InitOptions{URL: "https://centre.example"})
	v := connect(t, vendor)
	_, err := v.Submit(within(t), sign(t, v, "1.0.0").Bytes())
	check(t, err)
	n, addr, _ := serveNode(t, dir)
	mirrorVendor(t, v, n, addr)
	now := time.Now()
	h, err := holdings.New(within(t), holdings.Options{
		DB: n.db, Content: n.content, Origin: "centre.example", Open: n.openMirrored, Client: n.peers, Agent: "test",
		Reporter: reporter{n}, WithheldAfter: time.Hour, Log: quiet(), Now: func() time.Time { return now },
	})
	check(t, err)
	at, _ := serve(t, newNode(t, InitOptions{URL: "https://other.example"})) // which has nothing of it
	h.SetMembers([]holdings.Member{{Origin: vendorOrigin, URL: at}})
	now = now.Add(-2 * time.Hour) // reports must not lie in the future of the log
	for range 200 {
		_, err := h.Step(within(t))
		check(t, err)
		now = now.Add(30 * time.Second)
	}
	code, _, b := get(t, addr+"/envelope/0")
	env, err := statement.Parse([]byte(b))
	if code != http.StatusOK || err != nil {
		t.Fatalf("the centre's first entry: %d, %v", code, err)
	}
	check(t, env.Verify(n.keys.statement.Public()))
	w, err := env.Statement().Withheld()
	if err != nil || len(w.Items) != 1 || w.Origin != vendorOrigin || w.Items[0].From[0].Answer != "absent" {
		t.Errorf("%+v, %v", w, err)
	}
	if code, _, _ := get(t, addr+"/envelope/1"); code != http.StatusNotFound {
		t.Errorf("it was reported again: %d", code)
	}
	page := addr + "/logs/" + digest.Of([]byte(vendorOrigin)).String()
	if code, _, b := get(t, page); code != http.StatusOK || !strings.Contains(b, "Withheld") || !strings.Contains(b, env.Digest().String()) {
		t.Errorf("%s: %d %s", page, code, b)
	}
	if code, _, b := get(t, addr+"/api/v1/logs"); code != http.StatusOK || !strings.Contains(b, `"report":"`+env.Digest().String()) {
		t.Errorf("the API: %d %s", code, b)
	}
	if code, _, b := get(t, addr+"/statement/"+env.Digest().String()); code != http.StatusOK {
		t.Errorf("the page of the report: %d %s", code, b)
	}
}
