package gossip_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"vitrine.example/internal/gossip"
	"vitrine.example/internal/store"
	"vitrine.example/internal/store/storetest"
	"vitrine.example/tlog"
)

const anIndex = `{"forks":[{"digest":"` + aDigest + `","origin":"log.example","kind":"size","found":"2030-05-01T12:00:00Z"}]}`

const aDigest = "00000000000000000000000000000000000000000000000000000000000000ff"

func TestIndexIsReadStrictly(t *testing.T) {
	if l, err := gossip.ParseIndex([]byte(anIndex)); err != nil || len(l) != 1 || l[0].Origin != origin || l[0].Kind != tlog.ForkSize {
		t.Fatalf("%+v, %v", l, err)
	}
	many := `{"forks":[` + strings.Repeat(strings.TrimSuffix(strings.TrimPrefix(anIndex, `{"forks":[`), `]}`)+",", gossip.MaxIndex)
	change := func(old, with string) string { return strings.Replace(anIndex, old, with, 1) }
	for name, text := range map[string]string{
		"nothing": "", "another shape": `[]`, "a trailing byte": anIndex + "x", "an unknown name": change(`"kind"`, `"kinds":1,"kind"`),
		"a name twice": change(`"kind":`, `"kind":"size","kind":`), "another case": change("kind", "Kind"),
		"no digest": change(`"digest":"`+aDigest+`",`, ""), "a short digest": change("00ff", "00f"),
		"an unknown kind": change("size", "shape"), "no origin": change(origin, ""), "an origin of two lines": change(origin, `a\nb`),
		"no time":                   change(`,"found":"2030-05-01T12:00:00Z"`, ""),
		"accepted without a reason": change(`Z"}`, `Z","accepted":"2030-05-01T12:00:00Z"}`),
		"reason alone":              change(`Z"}`, `Z","reason":"x"}`),
		"a long reason":             change(`Z"}`, `Z","accepted":"2030-05-01T12:00:00Z","reason":"`+strings.Repeat("x", 1001)+`"}`),
		"too many":                  many[:len(many)-1] + strings.TrimPrefix(anIndex, `{"forks":[`),
		"null":                      `{"forks":null}`,
	} {
		if l, err := gossip.ParseIndex([]byte(text)); err == nil {
			t.Errorf("%s: read as %d", name, len(l))
		}
	}
}

func TestViewsAreReadStrictly(t *testing.T) {
	c := newHistory(t, "", 64).signed(t, signer(t, origin), 9)
	one := fmt.Sprintf("%q", c.Marshal())
	if v, err := gossip.ParseViews([]byte(`{"views":[` + one + `]}`)); err != nil || len(v) != 1 || v[0].Size != 9 {
		t.Fatalf("%v, %v", v, err)
	}
	for name, text := range map[string]string{
		"nothing": "", "no checkpoint": `{"views":["x"]}`, "a number": `{"views":[1]}`, "an unknown name": `{"views":[],"x":1}`,
		"twice": `{"views":[],"views":[]}`, "too many": `{"views":[` + strings.Repeat(one+",", gossip.MaxViews) + one + `]}`,
	} {
		if v, err := gossip.ParseViews([]byte(text)); err == nil {
			t.Errorf("%s: read as %d", name, len(v))
		}
	}
}

// TestWhatIsServedIsRead: the index and the views of a node are what the readers take.
func TestWhatIsServedIsRead(t *testing.T) {
	one, two := newHistory(t, "", 64), newHistory(t, " other", 0)
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		a := newNode(t, db, one, 9)
		s := signer(t, origin)
		for size := int64(5); size < 7; size++ {
			f, err := tlog.NewSizeFork(one.signed(t, s, size), two.signed(t, s, size))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Keep(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		accepted := a.forks(t)[0].Digest
		if err := a.Accept(t.Context(), accepted, "explained <& \u2028>"); err != nil {
			t.Fatal(err)
		}
		l, err := gossip.ParseIndex(fetch(t, a.url+"/forks/"))
		if err != nil || len(l) != 2 {
			t.Fatalf("%+v, %v", l, err)
		}
		for _, x := range l {
			if is := x.Digest == accepted; is == x.Accepted.IsZero() || is != (x.Reason == "explained <& \u2028>") {
				t.Errorf("%+v", x)
			}
		}
		if v, err := gossip.ParseViews(fetch(t, a.url+"/gossip/views")); err != nil || len(v) != 1 {
			t.Errorf("%v, %v", v, err)
		}
	})
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, res.StatusCode, err)
	}
	return b
}

// TestOutsidersCannotUseUpWhatMembersNeed: after a flood from one address,
// another outsider is still heard; after one from everywhere, a member is.
func TestOutsidersCannotUseUpWhatMembersNeed(t *testing.T) {
	from, member := netip.MustParsePrefix("192.0.2.1/32"), false
	a := newNode(t, another(t), newHistory(t, "", 64), 9, func(o *gossip.Options) {
		o.Sender = func(*http.Request) (netip.Prefix, bool) { return from, member }
	})
	post := func() bool {
		res, err := http.Post(a.url+"/forks/", "text/plain", bytes.NewReader([]byte("x")))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode != http.StatusTooManyRequests
	}
	taken := 0
	for range 20 {
		if post() {
			taken++
		}
	}
	if taken != 8 {
		t.Errorf("%d of 20 posts of one address were taken, want 8", taken)
	}
	from = netip.MustParsePrefix("192.0.2.2/32")
	if !post() {
		t.Error("another address pays for the first")
	}
	for i := range 100 {
		from = netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), 32)
		post()
	}
	if post() {
		t.Error("a flood from everywhere is not bounded")
	}
	if member = true; !post() {
		t.Error("a member is not heard during a flood")
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(anIndex))
	f.Add([]byte(`{"forks":[]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := gossip.ParseIndex(b)
		if err != nil {
			return
		}
		for _, x := range l {
			if x.Digest.IsZero() || x.Origin == "" || x.Found.IsZero() || len(l) > gossip.MaxIndex {
				t.Fatalf("%+v", x)
			}
		}
	})
}

func FuzzViews(f *testing.F) {
	f.Add([]byte(`{"views":[]}`))
	f.Add(fmt.Appendf(nil, `{"views":[%q]}`, newHistory(f, "", 64).signed(f, signer(f, origin), 9).Marshal()))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := gossip.ParseViews(b)
		if err != nil {
			return
		}
		for _, c := range v {
			if again, err := tlog.ParseCheckpoint(c.Marshal()); err != nil || again.Checkpoint.Size != c.Size || len(v) > gossip.MaxViews {
				t.Fatalf("%v, %v", c, err)
			}
		}
	})
}
