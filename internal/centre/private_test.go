package centre

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestReach(t *testing.T) {
	for a, want := range map[string]reach{
		"192.0.2.7": world, "2001:db8::7": world, "8.8.8.8": world, "::ffff:8.8.8.8": world, "64:ff9b::808:808": world,
		"10.1.2.3": site, "172.16.0.1": site, "192.168.1.1": site, "100.64.0.1": site, "fd00::1": site, "::ffff:10.1.2.3": site, "64:ff9b::a01:203": site,
		"127.0.0.1": machine, "127.9.9.9": machine, "::1": machine, "0.0.0.0": machine, "::": machine, "::ffff:127.0.0.1": machine,
		"169.254.169.254": nowhere, "fe80::1": nowhere, "224.0.0.1": nowhere, "ff02::1": nowhere, "255.255.255.255": nowhere, "64:ff9b::a9fe:a9fe": nowhere,
	} {
		if got := reachOf(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is %d, want %d", a, got, want)
		}
	}
}

// What a node whose URL leads somewhere connects to.
func TestPrivateAddresses(t *testing.T) {
	names := map[string][]netip.Addr{
		"public.example": {netip.MustParseAddr("192.0.2.1")},
		"inside.example": {netip.MustParseAddr("10.0.0.1")},
		"debian.example": {netip.MustParseAddr("127.0.1.1")},
		"localhost":      {netip.MustParseAddr("127.0.0.1")},
	}
	to := []string{"192.0.2.7:443", "10.1.2.3:443", "127.0.0.1:80", "169.254.169.254:80"}
	for own, want := range map[string]int{ // how many of these it connects to, from the front
		"https://public.example": 1, "https://unknown.example": 1, "https://debian.example": 1, "https://192.0.2.1": 1,
		"https://inside.example": 2, "http://10.0.0.2:8080": 2, "http://[fd00::1]": 2,
		"http://127.0.0.1:8080": 3, "http://localhost:8080": 3, "http://[::1]": 3,
	} {
		d := newPeerDialer(&Config{URL: own})
		d.resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
			if a := names[host]; a != nil {
				return a, nil
			}
			return nil, errors.New("no such host")
		}
		for i, a := range to {
			if err := d.admit(t.Context(), a); (err == nil) != (i < want) || err != nil && !errors.Is(err, errPrivate) {
				t.Errorf("%s connects to %s: %v", own, a, err)
			}
		}
	}
}

// A member's URL does not have a node ask a service of its own machine, by whatever
// name, unless its operator wants that.
func TestAMemberNamesAPrivateAddress(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer srv.Close()
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	h, err := parseHosts([]string{"peer.example=" + srv.Listener.Addr().String()})
	check(t, err)
	get := func(c *Config, ctx context.Context, url string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		check(t, err)
		res, err := newPeerClient(newPeerDialer(c)).Do(req)
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	public := &Config{URL: "https://192.0.2.1", hosts: h}
	for _, url := range []string{srv.URL, "http://localhost:" + port, "http://0.0.0.0:" + port, "http://[::ffff:127.0.0.1]:" + port} {
		if err := get(public, within(t), url); !errors.Is(err, errPrivate) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if asked != 0 {
		t.Fatalf("the service was asked %d times", asked)
	}
	check(t, get(public, within(t), "http://peer.example"))
	check(t, get(public, withNamed(within(t)), srv.URL))
	check(t, get(&Config{URL: "https://192.0.2.1", PrivatePeers: true}, within(t), srv.URL))
	check(t, get(&Config{URL: "http://127.0.0.1:1"}, within(t), srv.URL))
	if asked != 4 {
		t.Errorf("asked %d times, want 4", asked)
	}
}
