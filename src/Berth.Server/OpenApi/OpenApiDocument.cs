using System.Reflection;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.OpenApi;

/// <summary>
/// The description of the HTTP interface, written by hand as <c>openapi.json</c> beside this file: what a generator can't
/// know (streams, option headers, trailers) is most of it. A test compares its routes with those that are mapped.
/// </summary>
public static class OpenApiDocument
{
    /// <summary>The document as UTF-8.</summary>
    public static ReadOnlyMemory<byte> Bytes { get; } = Read();

    internal static async Task HandleAsync(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = Bytes.Length;
        await context.Response.Body.WriteAsync(Bytes, context.RequestAborted);
    }

    private static byte[] Read()
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream("openapi.json")
            ?? throw new InvalidOperationException("openapi.json is not embedded.");
        byte[] bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}
