package centre

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	h, err := parseHosts([]string{"a.example=192.0.2.7", "b.example=127.0.0.1:8081", "c.example=[2001:db8::7]:99"})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"a.example:443": "192.0.2.7:443",
		"b.example:80":  "127.0.0.1:8081",
		"c.example:443": "[2001:db8::7]:99",
		"d.example:443": "d.example:443",
		"b.example":     "b.example", // no port: left to the dialer to refuse
	} {
		if got := h.address(addr); got != want {
			t.Errorf("%s is reached at %s, want %s", addr, got, want)
		}
	}
	for line, want := range map[string]string{
		"192.0.2.7":             "want name=address",
		"=192.0.2.7":            "lower-case DNS name",
		"A.example=192.0.2.7":   "lower-case DNS name",
		"a.example":             "want name=address",
		"a.example=b.example":   "want name=address",
		"a.example=fe80::1%lo":  "want name=address",
		"a.example=1.2.3.4:a":   "want name=address",
		"a.example=1.2.3.4:1:2": "want name=address",
	} {
		if _, err := parseHosts([]string{line}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
	if _, err := parseHosts([]string{"a.example=192.0.2.7", "a.example=192.0.2.8"}); err == nil {
		t.Error("a name that stands twice was taken")
	}
	if _, err := parseHosts(make([]string, maxHosts+1)); err == nil {
		t.Error("too many names were taken")
	}
}

func TestPeerClient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
		} else if r.URL.Path == "/long" {
			w.Header().Set("X-Long", strings.Repeat("x", 2*maxPeerHeaderSize))
		}
	}))
	defer srv.Close()
	h, err := parseHosts([]string{"peer.example=" + srv.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	c := newPeerClient(newPeerDialer(&Config{hosts: h}))
	defer c.CloseIdleConnections()
	get := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://peer.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Do(req)
		if err != nil {
			return err
		}
		return res.Body.Close()
	}
	if err := get("/"); err != nil {
		t.Error(err)
	}
	if err := get("/away"); !errors.Is(err, errRedirect) {
		t.Errorf("a redirection: %v", err)
	}
	if err := get("/long"); err == nil {
		t.Error("an answer with an endless header was taken")
	}
}
