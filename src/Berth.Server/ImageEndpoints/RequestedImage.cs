using Berth.Core.Errors;
using Berth.Core.Images;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.ImageEndpoints;

/// <summary>The image that an address names.</summary>
internal static class RequestedImage
{
    /// <summary>Throws <c>InvalidReference</c>, and <c>ImageNotFound</c> for an image of another registry.</summary>
    public static ImageReference Parse(HttpContext context) =>
        Own(ImageReference.Parse((string)context.Request.RouteValues["reference"]!), context.Request);

    /// <summary>A reference written with this server's own address means this server's own image.</summary>
    public static ImageReference Own(ImageReference reference, HttpRequest request)
    {
        if (reference.RegistryHost is not { } host)
        {
            return reference;
        }

        return host.Equals(request.Host.Value, StringComparison.OrdinalIgnoreCase)
            ? ImageReference.Parse(reference.ToString()[(host.Length + 1)..])
            : throw new BerthException(
                ErrorCode.ImageNotFound,
                $"The image {reference} is in another registry: "
                + $"copy it here first with 'berth image pull {reference}'.");
    }
}
