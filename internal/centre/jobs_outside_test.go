package centre

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"vitrine.example/internal/recipe"
)

func TestOnlyPublicAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"192.0.32.8:443": true, "[2001:500:88:200::8]:443": true,
		"127.0.0.1:80": false, "[::1]:80": false, "10.1.2.3:443": false, "172.16.0.1:443": false, "192.168.1.1:443": false,
		"169.254.169.254:80": false, "[fe80::1]:80": false, "[fd00::1]:80": false, "100.64.0.1:443": false, "0.0.0.0:80": false,
		"224.0.0.1:80": false, "[::ffff:127.0.0.1]:80": false, "[::ffff:10.0.0.1]:80": false, "[64:ff9b::7f00:1]:80": false, "name:80": false,
	} {
		if err := onlyPublic("tcp", address, nil); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A recipe may not have this machine asked, by name, by address or by a redirect
// of who may be asked.
func TestRecipesReachNothingInside(t *testing.T) {
	t.Setenv("HTTP_PROXY", "")
	t.Setenv("HTTPS_PROXY", "")
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; io.WriteString(w, "secret") }))
	defer inside.Close()
	u, err := url.Parse(inside.URL)
	check(t, err)
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			http.Redirect(w, r, "http://localhost:"+u.Port()+"/", http.StatusFound)
			return
		}
		io.WriteString(w, "an input")
	}))
	defer there.Close()
	// The registry is known by its address, which localhost is not.
	known := newOutsideClient(nil, recipe.Registries{"goproxy": {there.URL}})
	stranger := newOutsideClient(nil, nil)
	for _, tt := range []struct {
		client *http.Client
		url    string
		ok     bool
	}{
		{known, there.URL + "/a", true},
		{known, there.URL + "/elsewhere", false},
		{stranger, there.URL + "/a", false},
		{stranger, inside.URL, false},
		{stranger, "http://localhost:" + u.Port(), false},
	} {
		r, err := tt.client.Get(tt.url)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.url, err)
		}
		if err == nil {
			check(t, r.Body.Close())
		} else if !strings.Contains(err.Error(), "anyone may reach") {
			t.Errorf("%s: %v", tt.url, err)
		}
	}
	if asked != 0 {
		t.Errorf("what is inside was asked %d times", asked)
	}
}
