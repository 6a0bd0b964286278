package tlog_test

import (
	"fmt"
	"time"

	"vitrine.example/tlog"
)

const examplePolicy = `
log log.example+a3de3651+Afx86c2FXcBH/UvM1w2C9mMbsCa8qHsbL7//k1i6VkUk
witness W witness.example+1ae9053a+BMHTbmC48p4sZuGRQZ5UjUTBwRkys9At4BkPu6E53nJI
quorum W
`

const exampleProof = `c2sp.org/tlog-proof@v1
index 1
dziFphNIniTOLPdhmdakI/BC5LvxLX7s7pEu8nbGVwE=
V8efTzGuApxdS9MLBzwnyU35NDiytGl+Hh7vW8A5SkE=

log.example
3
lPvQ3YNvUDAWkubQ6t5yjuGexSv/8WBu2AfIV11aqhk=

— log.example o942UXqo0dWg7IomTTz6UPxzXNNhj+kvPLKwxKWSosl/S+kt/hiuNAyiVygYwSsAl9hIqDLnF381kUu7ZTXQxQmbow8=
— witness.example GukFOgAAAABqYLDAPb512Z4wGlDEksC76lZIF+1WTenyUatEt0gkuIlIdrqiWAD/gELGMgES/59Am8yNH++2ts6RFpc2QOYAMZfVDA==
`

// Whether an entry is in a log that a policy trusts, offline.
func Example() {
	policy, err := tlog.ParsePolicy([]byte(examplePolicy))
	if err != nil {
		fmt.Println(err)
		return
	}
	proof, err := tlog.ParseProof([]byte(exampleProof))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := proof.VerifyInclusion(tlog.LeafHash([]byte("entry 1"))); err != nil {
		fmt.Println(err)
		return
	}
	result, err := policy.Check(proof.Checkpoint)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("logged by", result.Log.Name())
	for _, w := range result.Witnesses {
		fmt.Println("seen by", w.Name, w.Time.Format(time.RFC3339))
	}
	fmt.Println(proof.VerifyInclusion(tlog.LeafHash([]byte("another entry"))))
	// Output:
	// logged by log.example
	// seen by W 2026-07-22T12:00:00Z
	// verifying inclusion of entry 1 in log.example at size 3: the proof does not lead to the root hash
}
