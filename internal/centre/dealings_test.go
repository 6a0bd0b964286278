package centre

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"vitrine.example/internal/web"
	"vitrine.example/statement"
)

// dealing is a row of "How they answer" as the API has it.
type dealing struct {
	Member, For, Answered, Ails string
	Size                        int64
}

// read gets a page or an answer of a served node.
func read(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	check(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	check(t, err)
	return string(b)
}

// dealt is what a node says of how a member answers, by what it asks for.
func dealt(t *testing.T, addr, member string) map[string]dealing {
	t.Helper()
	var all struct{ Dealings []dealing }
	check(t, json.Unmarshal([]byte(read(t, addr+"/api/v1/circle")), &all))
	out := map[string]dealing{}
	for _, d := range all.Dealings {
		if d.Member == member {
			out[d.For] = d
		}
	}
	return out
}

// TestHowMembersAnswer: two served nodes of a circle cosign and mirror each other;
// each page says that all is well, and names a member that went away.
func TestHowMembersAnswer(t *testing.T) {
	var all []*circleNode
	var members []statement.Member
	keys := func(vkeys []string) (out []statement.MemberKey) {
		for _, k := range vkeys {
			out = append(out, statement.MemberKey{Key: k})
		}
		return out
	}
	for i := range 2 {
		at := fmt.Sprintf("127.0.34.%d:%d", i+1, 18340+i)
		n := &circleNode{dir: newNode(t, InitOptions{URL: "http://" + at, Listen: at, Name: at})}
		n.addr, n.stop = serve(t, n.dir)
		n.Handle = connect(t, n.dir)
		m := firstList(t, n.Handle).Members[0]
		m.Roles, m.Witness, m.Mirror = []string{"centre"}, keys(n.info.Witness), keys(n.info.Mirror)
		members, all = append(members, m), append(all, n)
	}
	v, a := all[0], all[1]
	at, err := v.Now(within(t))
	check(t, err)
	c := &statement.Circle{Name: "Programme", Version: 1, Published: at, Members: members}
	_, _, err = v.Say(within(t), c.Subjects(), c)
	check(t, err)
	var f CircleFile
	check(t, v.call(within(t), http.MethodGet, "/circle", nil, &f))
	check(t, a.MergeCircle(within(t), f))
	_, _, err = a.Say(within(t), []statement.Subject{statement.NewSubject("Programme", f.Root)},
		&statement.Consent{Circle: "Programme", Version: 1, Origin: a.info.Origin, At: at})
	check(t, err)
	_, err = v.SyncCircle(within(t))
	check(t, err)

	await(t, "the other member cosigns, mirrors and is followed", func() bool {
		d := dealt(t, v.addr, a.info.Origin)
		return d[web.ForMirroring].Answered != "" && d[web.ForMirroring].Ails == "" && d[web.ForMirroring].Size > 0 &&
			d[web.ForLog].Answered != "" && d[web.ForLog].Ails == "" && d[web.ForLog].Size > 0
	})
	page := read(t, v.addr+"/circle")
	for _, want := range []string{"How they answer", a.info.Origin, web.ForMirroring, web.ForLog, web.ForViews, "nothing is wrong"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	a.stop()
	_, err = v.Submit(within(t), sign(t, v.Handle, "1.0").Bytes())
	check(t, err)
	await(t, "the member that went away is named", func() bool {
		return dealt(t, v.addr, a.info.Origin)[web.ForMirroring].Ails == "cannot be reached"
	})
	if page := read(t, v.addr+"/circle"); !strings.Contains(page, "<strong>cannot be reached</strong>") || strings.Contains(page, "dial tcp") {
		t.Errorf("the page does not name it, or says too much:\n%s", page)
	}
}
