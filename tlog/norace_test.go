//go:build !race

package tlog

const raceDetector = false
