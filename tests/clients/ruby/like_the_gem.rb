# frozen_string_literal: true

# Speaks to the API as the gem `mergent` does: the same requests byte for byte, and answers read the same way.
# Written for these tests from what the gem's public source does; none of it is the gem's own code.
#
#   like_the_gem.rb VERB RESOURCE [JSON]    prints what the gem would give back, or its error, as JSON
#   like_the_gem.rb sign < BODY             prints the signature that the gem expects for a body
#
# MERGENT_URL is what `Mergent.endpoint=` is given, MERGENT_API_KEY what `Mergent.api_key=` is given.

require "base64"
require "json"
require "net/http"
require "openssl"

KEY = ENV.fetch("MERGENT_API_KEY")
VERBS = { "post" => Net::HTTP::Post, "patch" => Net::HTTP::Patch, "delete" => Net::HTTP::Delete }.freeze

def sign(body)
  Base64.strict_encode64(OpenSSL::HMAC.digest("sha1", KEY, body))
end

# Every request has a JSON body and says so, a DELETE too.
def ask(verb, resource, params)
  uri = URI("#{ENV.fetch("MERGENT_URL")}/#{resource}")
  headers = { Authorization: "Bearer #{KEY}", "Content-Type": "application/json" }
  request = VERBS.fetch(verb).new(uri, headers)
  request.body = JSON.generate(params)
  http = Net::HTTP.new(uri.host, uri.port)
  http.use_ssl = uri.scheme == "https"
  http.request(request)
end

# An answer without a body (204) counts as an empty object.
def read(response)
  body = JSON.parse(response.read_body || "{}")
  return { status: response.code.to_i, data: body } if response.is_a?(Net::HTTPSuccess)

  # As in the gem, nothing here survives a null or an object in the place of the list, or a missing message.
  reasons = body.fetch("errors", []).map { |error| error.fetch("message", nil) }.compact
  { status: response.code.to_i, error: [body.fetch("message").dup, *reasons].join(" - ") }
end

verb, resource, params = ARGV
if verb == "sign"
  print sign($stdin.binmode.read)
else
  puts JSON.generate(read(ask(verb, resource, JSON.parse(params || "{}"))))
end
