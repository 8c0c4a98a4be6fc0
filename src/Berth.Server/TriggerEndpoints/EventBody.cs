using Berth.Core.Errors;
using Berth.Core.Triggers;
using Berth.Server.Calls;
using Berth.Server.Forwarding;
using Berth.Server.Triggers;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.TriggerEndpoints;

/// <summary>Reads small bodies, and the CloudEvents in them: one in the headers, one in JSON or a batch of them (HTTP
/// protocol binding 1.0).</summary>
internal static class EventBody
{
    /// <summary>Held in memory until its task is stored.</summary>
    public const int MaxBytes = 1024 * 1024;

    private const string Structured = "application/cloudevents+json";
    private const string Batched = "application/cloudevents-batch+json";
    private const string Prefix = "ce-";

    /// <exception cref="BerthException">BodyTooLarge.</exception>
    public static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpContext context, CancellationToken cancellationToken)
    {
        if (context.Request.ContentLength > MaxBytes)
        {
            throw TooLarge();
        }

        using MemoryStream body = new((int)(context.Request.ContentLength ?? 4096));
        byte[] buffer = new byte[16 * 1024];
        int count;
        while ((count = await context.Request.Body.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (body.Length + count > MaxBytes)
            {
                throw TooLarge();
            }

            body.Write(buffer, 0, count);
        }

        return body.ToArray();
    }

    /// <exception cref="BerthException">InvalidRequest, UnsupportedMediaType.</exception>
    public static IReadOnlyList<CloudEvent> Parse(HttpRequest request, ReadOnlyMemory<byte> body)
    {
        string media = (request.ContentType ?? "").Split(';')[0].Trim();
        return media.Equals(Structured, StringComparison.OrdinalIgnoreCase) ? [CloudEventJson.ReadOne(body)]
            : media.Equals(Batched, StringComparison.OrdinalIgnoreCase) ? CloudEventJson.ReadBatch(body)
            : media.StartsWith("application/cloudevents", StringComparison.OrdinalIgnoreCase)
                ? throw new BerthException(
                    ErrorCode.UnsupportedMediaType,
                    $"The format '{Quoted.Of(media)}' is not known: send {Structured}, {Batched}, or the attributes as "
                    + "headers.")
            : [FromHeaders(request, body)];
    }

    /// <summary>What is passed on of a sender's headers.</summary>
    /// <param name="function">It is for; named in refusals alone.</param>
    public static TriggerRequestHead HeadOf(HttpRequest request, string function) => new(
        CgiVariables.Of(request),
        RequestHead.Keep(request, function, 0, "/", "", new HashSet<string>(StringComparer.OrdinalIgnoreCase)).Fields);

    private static CloudEvent FromHeaders(HttpRequest request, ReadOnlyMemory<byte> body)
    {
        Dictionary<string, string> attributes = new(StringComparer.Ordinal);
        foreach ((string header, Microsoft.Extensions.Primitives.StringValues values) in request.Headers)
        {
            if (!header.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase))
            {
                continue;
            }

            string name = header[Prefix.Length..].ToLowerInvariant();
            attributes[name] = values.Count == 1 && CloudEvent.Decode(values.ToString()) is { } value
                ? value
                : throw CloudEvent.Refuse(
                    $"the header {Quoted.Of(header)} is given twice or no UTF-8", "encode the value by percents");
        }

        attributes.Remove("specversion", out string? version);
        return version is null
            ? throw CloudEvent.Refuse(
                "ce-specversion is missing",
                $"send {Structured}, {Batched}, or the attributes as headers that begin with {Prefix}")
            : CloudEvent.Of(version, attributes, request.ContentType, body);
    }

    private static BerthException TooLarge() => new(
        ErrorCode.BodyTooLarge, $"The body is larger than {MaxBytes / 1024} KiB: send less.");
}
