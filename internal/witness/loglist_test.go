package witness

import (
	"reflect"
	"strings"
	"testing"

	"vitrine.example/tlog"
)

// Two logs of the testing list of witness-network.org.
const sampleList = `#
# This is a list.
logs/v0

vkey keyserver.geomys.org+16b31509+ARLJ+pmTj78HzTeBj04V+LVfB+GFAQyrg54CRIju7Nn8
qpd 1440
contact keyserver-tlog@geomys.org

 	vkey vindex.gopherwatch.org+af4f4f3a+AYlEp21ErzmKZa+aqhjC8BQteyEtsVwmLzblkzHxn8et
origin another origin
	qpd 288	
contact admin (at) gopherwatch.org | https://example.com/`

func TestLogList(t *testing.T) {
	got, err := ParseLogList([]byte(sampleList))
	if err != nil {
		t.Fatal(err)
	}
	key := func(s string) []tlog.Verifier {
		v, err := tlog.ParseVerifier(s)
		if err != nil {
			t.Fatal(err)
		}
		return []tlog.Verifier{v}
	}
	want := []Log{
		{"keyserver.geomys.org", key("keyserver.geomys.org+16b31509+ARLJ+pmTj78HzTeBj04V+LVfB+GFAQyrg54CRIju7Nn8"), "keyserver-tlog@geomys.org", 1440},
		{"another origin", key("vindex.gopherwatch.org+af4f4f3a+AYlEp21ErzmKZa+aqhjC8BQteyEtsVwmLzblkzHxn8et"), "admin (at) gopherwatch.org | https://example.com/", 288},
	}
	if len(got.Logs) != 2 || len(got.Skipped) != 0 || !reflect.DeepEqual(got.Logs, want) {
		t.Errorf("%+v", got)
	}
}

func TestLogListRefused(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"logs/v0", "logs/v1", "line 3"}, {"logs/v0\n", "", "line 4"}, {"logs/v0", "logs/v0 x", "line 3"},
		{"qpd 1440\n", "", "line 6"}, {"qpd 1440", "qpd 01440", "line 6"}, {"qpd 1440", "qpd 0", "line 6"},
		{"qpd 1440", "qpd -1", "line 6"}, {"qpd 1440", "qpd +1", "line 6"}, {"qpd 1440", "qpd 2147483648", "line 6"},
		{"qpd 1440", "qpd  1440", "line 6"}, {"qpd 1440", "qps 1", "line 6"}, {"qpd 1440", "qpd", "line 6"},
		{"qpd 1440\ncontact keyserver-tlog@geomys.org", "contact keyserver-tlog@geomys.org\nqpd 1440", "line 6"},
		{"contact keyserver-tlog@geomys.org\n", "", "contact"}, {"contact keyserver-tlog@geomys.org", "contact", "contact"},
		{"origin another origin", "origin keyserver.geomys.org", "stands twice"}, {"origin another origin", "origin", "qpd"},
		{"origin another origin", "origin a\x01b", "control character"}, {"qpd 1440", "bastion none\nqpd 1440", "line 6"},
		{"\nvkey keyserver", "\nkey keyserver", "line 5"}, {"contact admin (at) gopherwatch.org | https://example.com/", "", "line 11"},
		{"qpd 1440\n", "qpd 1440\r\n", "line 6"}, {"contact admin", "contact \xff", "UTF-8"},
		{"contact admin", "contact " + strings.Repeat("x", 2000), "want at most"}, {"# This", "# " + strings.Repeat("x", 9000), "line 2"},
	} {
		in := strings.Replace(sampleList, c.from, c.to, 1)
		if in == sampleList {
			t.Fatalf("%q is not in the list", c.from)
		}
		if _, err := ParseLogList([]byte(in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q → %.60q: %v, want %q", c.from, c.to, err, c.want)
		}
	}
	if _, err := ParseLogList(make([]byte, MaxLogList+1)); err == nil {
		t.Error("a list of any length is read")
	}
	// A key that is not read skips its log alone.
	got, err := ParseLogList([]byte(strings.Replace(sampleList, "+ARLJ+", "+AhLJ+", 1)))
	if err != nil || len(got.Logs) != 1 || len(got.Skipped) != 1 || got.Skipped[0].Line != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzLogList(f *testing.F) {
	f.Add(sampleList)
	f.Add("logs/v0")
	f.Fuzz(func(t *testing.T, in string) {
		list, err := ParseLogList([]byte(in))
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, l := range list.Logs {
			if seen[l.Origin] || len(l.Keys) != 1 || l.PerDay < 1 || l.PerDay >= 1<<31 || l.Note == "" {
				t.Errorf("%q gives %+v", in, l)
			}
			seen[l.Origin] = true
		}
	})
}
