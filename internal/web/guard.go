package web

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// secure sets the headers that keep a browser from doing anything but showing.
func secure(baseURL string, next http.Handler) http.Handler {
	https := strings.HasPrefix(baseURL, "https://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; script-src 'none'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if https {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// shared marks answers that pages of other origins may read: what a verifier
// needs, in a browser too. There are no cookies to protect.
func shared(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		next.ServeHTTP(w, r)
	})
}

// maxURL bounds the request target in bytes.
const maxURL = 2048

// readOnly lets nothing through but reading.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			problem(w, http.StatusMethodNotAllowed, "this address can only be read")
		case r.ContentLength != 0:
			w.Header().Set("Connection", "close")
			problem(w, http.StatusRequestEntityTooLarge, "a request to read has no body")
		case len(r.URL.Path)+len(r.URL.RawQuery) > maxURL:
			problem(w, http.StatusRequestURITooLong, "this address is too long")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// limit answers 429 to clients that ask too often. A process on this machine
// that no proxy speaks for is not limited.
func limit(o Options, next http.Handler) http.Handler {
	if o.Rate <= 0 {
		return next
	}
	b := newBuckets(rate.Limit(o.Rate), o.Burst)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, limited := clientOf(r, o.Proxies)
		if limited && !b.allow(client, o.Now()) {
			w.Header().Set("Retry-After", "1")
			problem(w, http.StatusTooManyRequests, "too many requests from your address; wait a second")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Client returns whom a request is counted against, for handlers that are
// mounted: an address, or the /64 of an IPv6 client.
func Client(r *http.Request, proxies []netip.Prefix) netip.Prefix {
	p, _ := clientOf(r, proxies)
	return p
}

// clientOf returns whom a request is counted against: the peer, or what a
// trusted proxy says of it. IPv6 clients count by their /64.
func clientOf(r *http.Request, proxies []netip.Prefix) (netip.Prefix, bool) {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Prefix{}, true // all of these share one bucket
	}
	addr, forwarded := ap.Addr().Unmap(), false
	var hops []string
	if trusted(addr, proxies) {
		hops = strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	}
	// From the nearest hop outwards, as long as who said it is trusted.
	for i := len(hops) - 1; i >= 0 && trusted(addr, proxies); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr, forwarded = a.Unmap(), true
	}
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}, true
	}
	return p, forwarded || !addr.IsLoopback()
}

func trusted(a netip.Addr, proxies []netip.Prefix) bool {
	for _, p := range proxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// maxClients bounds how many clients are remembered in each of two generations.
const maxClients = 8192

// buckets is a token bucket for each client, in two generations: when the
// young one is full it becomes the old one, and whoever is not seen again is
// forgotten with it.
type buckets struct {
	rate  rate.Limit
	burst int

	mu         sync.Mutex
	young, old map[netip.Prefix]*rate.Limiter
}

func newBuckets(r rate.Limit, burst int) *buckets {
	return &buckets{rate: r, burst: max(burst, 1), young: map[netip.Prefix]*rate.Limiter{}}
}

func (b *buckets) allow(client netip.Prefix, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.young[client]
	if !ok {
		if l, ok = b.old[client]; !ok {
			l = rate.NewLimiter(b.rate, b.burst)
		}
		if len(b.young) >= maxClients {
			b.old, b.young = b.young, map[netip.Prefix]*rate.Limiter{}
		}
		b.young[client] = l
	}
	return l.AllowN(now, 1)
}
