using Microsoft.AspNetCore.Http;

namespace Berth.Server.Loops;

/// <summary>Metadata of a route whose requests may stay on the event loop that they came in by: what answers them
/// blocks nowhere, or leaves by <see cref="LoopExit"/> itself.</summary>
internal sealed class LoopWork
{
    public static LoopWork Own { get; } = new();

    public static bool Is(HttpContext context) => context.GetEndpoint()?.Metadata.GetMetadata<LoopWork>() is not null;
}
