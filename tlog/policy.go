package tlog

import "errors"

var errTODO = errors.New("not written yet")

// Policy is a tlog-policy: which logs, and which quorum of witnesses.
type Policy struct {
	Logs      []PolicyLog
	Witnesses []PolicyWitness
	Groups    []PolicyGroup
	Quorum    string // name of a witness or group, or "none"
}

// PolicyLog is a log line.
type PolicyLog struct {
	Key Verifier
	URL string
}

// PolicyWitness is a witness line.
type PolicyWitness struct {
	Name string
	Key  Verifier
	URL  string
}

// PolicyGroup is a group line; K of Members must have witnessed.
type PolicyGroup struct {
	Name    string
	K       int
	Members []string
}
