package bastion

import (
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	pingAfter = 15 * time.Second // without a frame
	pingWait  = 15 * time.Second // then the connection is given up
	forever   = 10 * 365 * 24 * time.Hour
)

// Prepare makes a server ready for connections of a [Listener], and for no
// others: they carry HTTP/2 at once, stay open without requests, and bear the
// client's address in a header.
func Prepare(srv *http.Server) {
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetUnencryptedHTTP2(true) // what is encrypted is the connection below
	if srv.HTTP2 == nil {
		srv.HTTP2 = &http.HTTP2Config{}
	}
	srv.HTTP2.SendPingTimeout, srv.HTTP2.PingTimeout = pingAfter, pingWait
	srv.IdleTimeout = forever
	srv.Handler = fromClient(srv.Handler)
}

// fromClient gives requests the address of the client as the bastion says it:
// "add a single X-Forwarded-For header with the IP address of the client". Where
// there is none that can be read it stays that of the bastion.
func fromClient(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := r.Header.Values("X-Forwarded-For")
		r = r.Clone(r.Context())
		r.Header.Del("X-Forwarded-For")
		if len(from) == 1 {
			if a, err := netip.ParseAddr(from[0]); err == nil && a.Zone() == "" {
				r.RemoteAddr = net.JoinHostPort(a.Unmap().String(), "0")
			}
		}
		next.ServeHTTP(w, r)
	})
}
