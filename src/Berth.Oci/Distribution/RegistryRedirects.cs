using System.Net;
using Berth.Core.Errors;

namespace Berth.Oci.Distribution;

/// <summary>
/// Follows a registry's redirects of reads to its storage, a few hops and never from https to http. Requests with a
/// body are not followed. Whether a hop is authorized is decided below, by its address.
/// </summary>
internal sealed class RegistryRedirects(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    private const int MaxHops = 5;

    protected override async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = await base.SendAsync(request, cancellationToken);
        for (int hops = 0; IsRedirect(response)
            && (request.Method == HttpMethod.Get || request.Method == HttpMethod.Head); hops++)
        {
            Uri from = request.RequestUri!;
            Uri to = new(from, response.Headers.Location!);
            response.Dispose();
            if (hops == MaxHops)
            {
                throw new BerthException(ErrorCode.Upstream, $"{from.Authority} redirects more than {MaxHops} times.");
            }

            if (to.Scheme != from.Scheme && to.Scheme != Uri.UriSchemeHttps)
            {
                throw new BerthException(
                    ErrorCode.Upstream, $"{from.Authority} redirects from {from.Scheme} to '{to.Scheme}'.");
            }

            var next = new HttpRequestMessage(request.Method, to) { Version = request.Version };
            foreach (
                (string name, IEnumerable<string> values) in request.Headers.NonValidated.Select(
                    h => (h.Key, h.Value.AsEnumerable())))
            {
                if (!name.Equals("Authorization", StringComparison.OrdinalIgnoreCase))
                {
                    next.Headers.TryAddWithoutValidation(name, values);
                }
            }

            request = next;
            response = await base.SendAsync(next, cancellationToken);
        }

        return response;
    }

    private static bool IsRedirect(HttpResponseMessage response) =>
        response.Headers.Location is not null
        && response.StatusCode is HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
            or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect;
}
