using Berth.Core.Runs;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Berth.Server.Hosting;

/// <summary>
/// The trace that a request belongs to (W3C Trace Context, level 1): the caller's, or a new one. The program gets it as
/// TRACEPARENT with a parent id of Berth's own.
/// </summary>
internal sealed record TraceContext(string TraceId, string SpanId, string Flags, string? State)
{
    /// <summary>The span that the header names; null where there was none.</summary>
    public string? CallerSpan { get; private init; }

    private static readonly object Key = new();

    private static readonly Func<ILogger, string?, string, IDisposable?> Traced =
        LoggerMessage.DefineScope<string?, string>("RequestPath:{RequestPath} TraceId:{TraceId}");

    /// <summary>So that whatever the log says of a request can be found by its trace.</summary>
    public static IDisposable? Scope(ILogger logger, HttpContext context) =>
        Traced(logger, context.Request.Path.Value, Of(context).TraceId);

    public string Parent => $"00-{TraceId}-{SpanId}-{Flags}";

    public static TraceContext Of(HttpContext context)
    {
        if (context.Items.TryGetValue(Key, out object? found))
        {
            return (TraceContext)found!;
        }

        TraceContext trace = From(context.Request.Headers.TraceParent, context.Request.Headers.TraceState);
        context.Items[Key] = trace;
        context.TraceIdentifier = trace.TraceId;
        return trace;
    }

    /// <summary>
    /// Continues the trace of a header; one that is missing or malformed starts a new trace (section 4).
    /// </summary>
    public static TraceContext From(string? parent, string? state)
    {
        string span = NewSpanId();
        return IsValid(parent)
            ? new TraceContext(
                parent![3..35], span, parent[53..55],
                string.IsNullOrEmpty(state) || state.Length > 512 ? null : state)
            { CallerSpan = parent[36..52] }
            : new TraceContext(NewId(16), span, "00", null);
    }

    public static string NewSpanId() => NewId(8);

    private static string NewId(int bytes)
    {
        Span<byte> id = stackalloc byte[bytes];
        RandomStore.Take(id);
        return Convert.ToHexStringLower(id);
    }

    // version "-" trace-id "-" parent-id "-" flags; a later version may be longer (section 3.2.4).
    private static bool IsValid(string? text) =>
        text is { Length: >= 55 } && (text.Length == 55 || (text[55] == '-' && text[..2] != "00")) && text[..2] != "ff"
        && text[2] == '-' && text[35] == '-' && text[52] == '-'
        && IsHex(text.AsSpan(0, 2)) && IsHex(text.AsSpan(3, 32))
        && IsHex(text.AsSpan(36, 16)) && IsHex(text.AsSpan(53, 2))
        && text.AsSpan(3, 32).ContainsAnyExcept('0') && text.AsSpan(36, 16).ContainsAnyExcept('0');

    private static bool IsHex(ReadOnlySpan<char> text) => !text.ContainsAnyExcept("0123456789abcdef");
}
