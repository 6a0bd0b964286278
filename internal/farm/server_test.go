package farm_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/farm"
	"vitrine.example/statement"
)

// raw is a worker that says what it likes.
func raw(t *testing.T, c *centre, name string) (i *farm.Identity, say func(method, path, body string) (int, string)) {
	t.Helper()
	i = identity(t)
	c.know(i, name)
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: farm.ClientTLS(i, c.id.ID())}}
	return i, func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "https://"+c.addr+path, strings.NewReader(body))
		check(t, err)
		res, err := h.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		check(t, err)
		return res.StatusCode, string(b)
	}
}

func TestHostileRequests(t *testing.T) {
	c := newCentre(t, time.Minute)
	needed, secret := c.put("needed"), c.put("secret")
	id := c.order(1, "hello", needed)
	_, mine := raw(t, c, "w")
	_, other := raw(t, c, "x")
	if code, _ := mine("POST", "/farm/v1/take", ""); code != 200 {
		t.Fatalf("take: %d", code)
	}
	if code, body := other("POST", "/farm/v1/take", ""); code != 200 || body != "{}" {
		t.Errorf("nothing to take: %d %s", code, body)
	}
	at := fmt.Sprintf("/farm/v1/orders/%d/1/", id)
	progress := `{"stage":"rebuild-run","done":1,"total":-1}`
	for _, tt := range []struct {
		name, method, path, body string
		code                     int
	}{
		{"renew", "POST", at + "renew", progress, 200},
		{"content", "GET", at + "content/" + needed.SHA256.String(), "", 200},
		{"what the order does not need", "GET", at + "content/" + secret.SHA256.String(), "", 403},
		{"what nobody has", "GET", at + "content/" + digest.Of([]byte("hello")).String(), "", 404},
		{"no digest", "GET", at + "content/..", "", 404},
		{"a path", "GET", at + "content/..%2f..%2fvitrine.toml", "", 400},
		{"an older epoch", "POST", fmt.Sprintf("/farm/v1/orders/%d/0/renew", id), progress, 409},
		{"a later epoch", "POST", fmt.Sprintf("/farm/v1/orders/%d/2/renew", id), progress, 409},
		{"another order", "POST", "/farm/v1/orders/999/1/renew", progress, 409},
		{"a negative order", "POST", "/farm/v1/orders/-1/1/renew", progress, 409},
		{"no number", "POST", "/farm/v1/orders/one/1/renew", progress, 400},
		{"a number too large", "POST", "/farm/v1/orders/99999999999999999999/1/renew", progress, 400},
		{"unknown words", "POST", at + "renew", `{"stage":"","done":0,"total":0,"more":1}`, 400},
		{"a long stage", "POST", at + "renew", `{"stage":"` + strings.Repeat("s", 5000) + `","done":0,"total":0}`, 400},
		{"no JSON", "POST", at + "renew", `{`, 400},
		{"a log with a gap", "POST", at + "log/10", "x", 400},
		{"a negative log", "POST", at + "log/-1", "x", 400},
		{"a log beyond the bound", "POST", at + fmt.Sprintf("log/%d", int64(farm.MaxLog)), "x", 400},
		{"a log beyond all", "POST", at + "log/9223372036854775807", "x", 400},
		{"an empty log", "POST", at + "log/0", "", 400},
		{"a chunk too large", "POST", at + "log/0", strings.Repeat("x", farm.MaxChunk+1), 400},
		{"an answer of nothing", "POST", at + "finish", `{}`, 400},
		{"another method", "GET", at + "finish", "", 405},
		{"another path", "GET", "/", "", 404},
	} {
		if code, body := mine(tt.method, tt.path, tt.body); code != tt.code {
			t.Errorf("%s: %d %s, want %d", tt.name, code, strings.TrimSpace(body), tt.code)
		}
	}
	for _, path := range []string{"renew", "finish", "log/0", "return"} {
		if code, body := other("POST", at+path, progress); code != 409 {
			t.Errorf("another's lease: %s: %d %s", path, code, body)
		}
	}
	if code, _ := other("GET", at+"content/"+needed.SHA256.String(), ""); code != 409 {
		t.Errorf("content of another's lease: %d", code)
	}
	if r := row(t, c.queue, id); r.State != farm.Leased || r.LogSize != 0 {
		t.Errorf("row %+v", r)
	}
	// What it needed it needs no longer.
	if code, body := mine("POST", at+"return", ""); code != 200 {
		t.Fatalf("return: %d %s", code, body)
	}
	if code, _ := mine("GET", at+"content/"+needed.SHA256.String(), ""); code != 409 {
		t.Errorf("content after the lease: %d", code)
	}
}

// A worker that is taken off the list is out, though it is connected.
func TestTakenOffTheList(t *testing.T) {
	c := newCentre(t, time.Minute)
	id := c.order(1, "hello")
	me, say := raw(t, c, "w")
	if code, _ := say("POST", "/farm/v1/take", ""); code != 200 {
		t.Fatal("take")
	}
	c.know(me, "")
	if code, body := say("POST", fmt.Sprintf("/farm/v1/orders/%d/1/renew", id), `{"stage":"","done":0,"total":0}`); code != 403 {
		t.Errorf("the connection that is there: %d %s", code, body)
	}
	c.stop()
	c.serve()
	if code, body := say("POST", "/farm/v1/take", ""); code != 0 {
		t.Errorf("a new connection: %d %s", code, body)
	}
}

func TestKeysOfBothSides(t *testing.T) {
	c := newCentre(t, time.Minute)
	c.order(1, "hello")
	known, unknown := identity(t), identity(t)
	c.know(known, "w")
	for name, tt := range map[string]struct {
		me  *farm.Identity
		key digest.Digest
		ok  bool
	}{
		"an unknown worker": {unknown, c.id.ID(), false},
		"another node":      {known, unknown.ID(), false},
		"both known":        {known, c.id.ID(), true},
	} {
		o, err := farm.NewClient(tt.me, []farm.Endpoint{{URL: "https://" + c.addr, Key: tt.key}})
		check(t, err)
		if h, err := o.Take(t.Context(), "w"); (err == nil) != tt.ok || (h != nil) != tt.ok {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
	for name, conf := range map[string]*tls.Config{
		"without a key": {},
		"TLS 1.2":       {MaxVersion: tls.VersionTLS12, Certificates: farm.ClientTLS(known, c.id.ID()).Certificates},
	} {
		conf.InsecureSkipVerify = true //nolint:gosec // the server is what is tested
		h := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
		req, err := http.NewRequestWithContext(t.Context(), "POST", "https://"+c.addr+"/farm/v1/take", nil)
		check(t, err)
		if res, err := h.Do(req); err == nil {
			t.Errorf("%s: %s", name, res.Status)
			res.Body.Close()
		}
	}
}

// An answer with all that it may have comes through.
func TestLargeAnswer(t *testing.T) {
	c := newCentre(t, time.Minute)
	id := c.order(1, "app")
	o := client(t, "w", c)
	h, err := o.Take(t.Context(), "")
	check(t, err)
	a := answer(statement.Different)
	a.Report = bytes.Repeat([]byte("x"), farm.MaxReport)
	for range 2 { // the first time, it did not hear that it was taken
		check(t, o.Finish(t.Context(), h.ID, h.Epoch, a))
	}
	if h, err = o.Take(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	check(t, o.Finish(t.Context(), h.ID, h.Epoch, a))
	if out := c.decided(id); len(out.Result.Explanation) != farm.MaxReport || len(out.Tried) != 2 {
		t.Errorf("an explanation of %d bytes after %d attempts", len(out.Result.Explanation), len(out.Tried))
	}
}
