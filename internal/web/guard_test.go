package web_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/web"
)

// TestHeaders: no answer, whatever its status, lacks what keeps a browser tame.
func TestHeaders(t *testing.T) {
	s := newShop(t)
	for _, p := range []string{"/", "/nothing", "/log/x", "/node.json", "/api/v1/node", "/api/v1/x", "/content/x", "/checkpoint", "/tile/0/000.p/3", "/healthz", "/proof/99"} {
		h := s.do("GET", p).Header()
		for k, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Strict-Transport-Security": "max-age=31536000", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if h.Get(k) != want {
				t.Errorf("%s: %s: %q, want %q", p, k, h.Get(k), want)
			}
		}
		csp := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "script-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %s", p, csp, want)
			}
		}
		if h.Get("Set-Cookie") != "" {
			t.Errorf("%s sets a cookie", p)
		}
	}
	s.o.Info.URL = "http://localhost:8080"
	s.build(t)
	if v := s.do("GET", "/").Header().Get("Strict-Transport-Security"); v != "" {
		t.Errorf("plain http promises TLS: %q", v)
	}
	h := s.do("GET", "/content/"+digest.Of(s.file).String()).Header()
	for k, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Disposition": `attachment; filename="it's <b>app.bin"`,
		"ETag": `"` + digest.Of(s.file).String() + `"`, "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
	} {
		if h.Get(k) != want {
			t.Errorf("content: %s: %q, want %q", k, h.Get(k), want)
		}
	}
	tag := h.Get("ETag")
	for _, has := range []string{tag, "W/" + tag, `"x", ` + tag, `"x",W/` + tag + `,"y"`, "*"} {
		if w := s.do("GET", "/content/"+digest.Of(s.file).String(), "If-None-Match", has); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("content of a client that has %s: %d, %d bytes", has, w.Code, w.Body.Len())
		}
	}
	for _, has := range []string{"", `"x"`, strings.Trim(tag, `"`), `"*"`} {
		if w := s.do("GET", "/content/"+digest.Of(s.file).String(), "If-None-Match", has); w.Code != 200 {
			t.Errorf("content of a client that has %s: %d", has, w.Code)
		}
	}
}

// TestOnlyReading: what is not reading is refused before anything looks at it.
func TestOnlyReading(t *testing.T) {
	s := newShop(t)
	for _, m := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW"} {
		for _, p := range []string{"/", "/add", "/api/v1/node", "/checkpoint"} {
			if w := s.do(m, p); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", m, p, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	r := httptest.NewRequest("GET", "/", strings.NewReader("a body"))
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("a body: %d, want 413", w.Code)
	}
	if w := s.do("GET", "/"+strings.Repeat("a", 3000)); w.Code != 414 {
		t.Errorf("a long path: %d, want 414", w.Code)
	}
	if w := s.do("GET", "/releases?product="+strings.Repeat("a", 3000)); w.Code != 414 {
		t.Errorf("a long query: %d, want 414", w.Code)
	}
}

// TestHostilePaths: nothing outside of the content store can be named.
func TestHostilePaths(t *testing.T) {
	s := newShop(t)
	for _, p := range []string{
		"/content/../vitrine.toml", "/content/%2e%2e/%2e%2e/etc/passwd", "/content/" + strings.Repeat("0", 63) + "%00",
		"/tile/../../keys/log.pem", "/tile/%2e%2e%2f%2e%2e%2fkeys%2flog.pem", "/tile/0/..%2f..%2fcheckpoint", "//etc/passwd", "/static/../templates/start.html",
		"/log/1%00", "/log/1%0d%0aX-Evil:1", "/proof/-1", "/proof/1e3", "/proof/%31%2f..", "/statements/" + strings.Repeat("g", 64),
	} {
		w := s.do("GET", p)
		if w.Code == 200 || w.Code >= 500 {
			t.Errorf("%s: %d", p, w.Code)
		}
		if strings.Contains(w.Body.String(), "PRIVATE KEY") || w.Header().Get("X-Evil") != "" {
			t.Errorf("%s: %s", p, w.Body)
		}
	}
}

// TestRates: a client that asks too often is told so, others are not, and the
// table of clients is bounded.
func TestRates(t *testing.T) {
	s := newShop(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s.o.Now = func() time.Time { return now }
	s.o.Rate, s.o.Burst = 1, 3
	s.o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.1/32")}
	s.build(t)
	ask := func(peer string, forwarded ...string) int {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.RemoteAddr = peer
		for _, f := range forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		w := httptest.NewRecorder()
		s.h.ServeHTTP(w, r)
		if w.Code == 429 && (w.Header().Get("Retry-After") == "" || w.Header().Get("Content-Type") != "application/problem+json") {
			t.Errorf("429 without its headers: %v", w.Header())
		}
		return w.Code
	}
	spend := func(peer string, forwarded ...string) (served int) {
		for served < 10 && ask(peer, forwarded...) == 200 {
			served++
		}
		return served
	}
	for _, c := range []struct {
		why       string
		peer      string
		forwarded []string
		want      int
	}{
		{"a stranger has the burst", "192.0.2.1:1", nil, 3},
		{"and no more from another port", "192.0.2.1:2", nil, 0},
		{"a stranger cannot speak for others", "192.0.2.1:3", []string{"198.51.100.1"}, 0},
		{"another stranger is not concerned", "192.0.2.2:1", nil, 3},
		{"a program here is not limited", "127.0.0.1:1", nil, 10},
		{"nor is one on ::1", "[::1]:1", nil, 10},
		{"a proxy here speaks for its client", "127.0.0.1:1", []string{"203.0.113.1"}, 3},
		{"the nearest hop counts, not what the client wrote", "127.0.0.1:1", []string{"203.0.113.9, 203.0.113.1"}, 0},
		{"a second header is a nearer hop", "127.0.0.1:1", []string{"203.0.113.10", "203.0.113.1"}, 0},
		{"through two proxies", "127.0.0.1:1", []string{"203.0.113.20, 10.0.0.1"}, 3},
		{"a client that calls itself loopback is limited", "127.0.0.1:1", []string{"203.0.113.30, 127.0.0.1"}, 3},
		{"nonsense in the header counts for the proxy", "10.0.0.1:1", []string{"nonsense"}, 3},
		{"one IPv6 network is one client", "[2001:db8::1]:1", nil, 3},
		{"whatever its address", "[2001:db8::ffff]:1", nil, 0},
		{"another network is another", "[2001:db8:0:1::1]:1", nil, 3},
		{"IPv4 in IPv6 is IPv4", "[::ffff:192.0.2.1]:1", nil, 0},
		{"no address at all", "@", nil, 3},
	} {
		if got := spend(c.peer, c.forwarded...); got != c.want {
			t.Errorf("%s: %d requests were served, want %d", c.why, got, c.want)
		}
	}
	now = now.Add(2 * time.Second)
	if got := spend("192.0.2.1:1"); got != 2 {
		t.Errorf("after two seconds %d requests, want 2", got)
	}
}

// TestServerLimits: large headers are refused on the wire.
func TestServerLimits(t *testing.T) {
	s := newShop(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := web.NewServer(s.h, slog.New(slog.DiscardHandler))
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.WriteTimeout == 0 || srv.IdleTimeout == 0 {
		t.Error("a time-out is missing")
	}
	go func() { _ = srv.Serve(web.LimitListener(l)) }()
	defer srv.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("a", 64<<10))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("64 KiB of header: %s", res.Status)
	}
}
