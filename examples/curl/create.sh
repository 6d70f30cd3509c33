#!/bin/sh
# Have a URL called in five seconds: TIMEBALL_URL=... TIMEBALL_KEY=... sh create.sh https://example.com/hook
set -eu
curl --fail-with-body --silent --show-error --retry 3 \
    -X POST "$TIMEBALL_URL/v2/tasks" \
    -H "Authorization: Bearer $TIMEBALL_KEY" \
    -H "Idempotency-Key: ${ONCE:-$(date +%s)-$$}" \
    -d "{\"request\": {\"url\": \"$1\", \"body\": \"hello from curl\"}, \"delay\": \"${DELAY:-5s}\"}"
