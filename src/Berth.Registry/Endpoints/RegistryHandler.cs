using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Content;
using Berth.Oci.Images;
using Berth.Registry.Access;
using Berth.Registry.Mirrors;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Logging;

namespace Berth.Registry.Endpoints;

/// <summary>
/// Takes every request under <c>/v2</c>: finds the caller, takes the path apart, asks for the right, passes on, and
/// turns refusals into the specification's errors.
/// </summary>
internal sealed class RegistryHandler(
    IRegistryAuthorizer authorizer, RegistryTokens tokens, TokenEndpoint token,
    BlobEndpoints blobs, UploadEndpoints uploads, ManifestEndpoints manifests, ListEndpoints lists,
    MirrorCache mirrors, ILogger logger)
{
    /// <summary>
    /// Bytes of a body that are read although the request is refused: a client that sends first and reads then, as most
    /// do, would see a broken connection in place of the answer. A manifest of twice the size fits.
    /// </summary>
    private const long Surplus = ManifestDocument.MaxBytes + (8L * 1024 * 1024);

    public async Task HandleAsync(HttpContext context)
    {
        RequestSizes.Limit(context, Surplus);
        context.Response.Headers["Docker-Distribution-Api-Version"] = "registry/2.0";
        try
        {
            await PassOnAsync(context);
        }
        catch (ChallengeException challenge) when (!context.Response.HasStarted)
        {
            await ChallengeAsync(context, challenge);
        }
        catch (BerthException refusal) when (!context.Response.HasStarted)
        {
            await OciErrors.WriteAsync(context, refusal);
        }
        catch (IOException e) when (DurableFile.IsOfTheDisk(e) && !context.Response.HasStarted)
        {
            await OciErrors.WriteAsync(context, DurableFile.Refusal("the registry", e));
        }
        catch (Exception e) when (e is BadHttpRequestException or OperationCanceledException
            && (context.RequestAborted.IsCancellationRequested || e is BadHttpRequestException))
        {
            await EndBrokenAsync(context, e);
        }
        catch (Exception e) when (!context.Response.HasStarted)
        {
            Log.RequestFailed(logger, context.Request.Method, context.Request.Path, e);
            await OciErrors.WriteAsync(context, 500, "UNKNOWN", "The registry failed; its log says more.");
        }
        catch (Exception e)
        {
            // A torn response must not look whole.
            Log.RequestFailed(logger, context.Request.Method, context.Request.Path, e);
            context.Abort();
        }
    }

    private static Task NotAllowedAsync(HttpContext context, string allowed)
    {
        context.Response.Headers.Allow = allowed;
        return OciErrors.WriteAsync(
            context, 405, "UNSUPPORTED", $"{Quoted.Of(context.Request.Method)} is not possible here; {allowed} is.");
    }

    private static bool IsRead(HttpContext context) =>
        HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method);

    private static Digest ParseDigest(string text) => Digest.Parse(text);

    private async Task PassOnAsync(HttpContext context)
    {
        RegistryPath path = RegistryPath.Parse(context.Request.RouteValues["path"] as string ?? "");
        if (path.Route == RegistryRoute.Token)
        {
            await (IsRead(context) || HttpMethods.IsPost(context.Request.Method)
                ? token.HandleAsync(context)
                : NotAllowedAsync(context, "GET, HEAD, POST"));
            return;
        }

        RequestAccess? caller = await RequestAccess.FindAsync(
            context.Request, authorizer, tokens, context.RequestAborted);
        RequestAccess access = caller is not null && !(caller.IsBare && path.Route == RegistryRoute.Base)
            ? caller
            : throw new ChallengeException(ScopeOf(path, context.Request.Method), null);
        if (path.Repository.Length > 0 && !ImageReference.IsRepository(path.Repository))
        {
            throw new BerthException(
                ErrorCode.InvalidReference, $"'{Quoted.Of(path.Repository)}' is not a repository name.");
        }

        await (path.Route switch
        {
            RegistryRoute.Base => BaseAsync(context),
            RegistryRoute.Catalog => CatalogAsync(context, access),
            RegistryRoute.Tags or RegistryRoute.Referrers => ListAsync(context, access, path),
            RegistryRoute.Blob => BlobAsync(context, access, path),
            RegistryRoute.UploadStart or RegistryRoute.Upload => UploadAsync(context, access, path),
            RegistryRoute.Manifest => ManifestAsync(context, access, path),
            _ => OciErrors.WriteAsync(context, 404, "NAME_UNKNOWN", "The registry has nothing at this address."),
        });
    }

    /// <summary>How clients find out that this is a registry and that their credentials are good.</summary>
    private static Task BaseAsync(HttpContext context)
    {
        if (!IsRead(context))
        {
            return NotAllowedAsync(context, "GET, HEAD");
        }

        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync("{}", context.RequestAborted);
    }

    private Task CatalogAsync(HttpContext context, RequestAccess access)
    {
        if (!IsRead(context))
        {
            return NotAllowedAsync(context, "GET, HEAD");
        }

        access.DemandCatalog();
        return lists.CatalogAsync(context, access);
    }

    private Task ListAsync(HttpContext context, RequestAccess access, RegistryPath path)
    {
        if (!IsRead(context))
        {
            return NotAllowedAsync(context, "GET, HEAD");
        }

        access.Demand(path.Repository, RegistryAction.Pull);
        return path.Route == RegistryRoute.Tags
            ? lists.TagsAsync(context, path.Repository)
            : lists.ReferrersAsync(context, path.Repository, ParseDigest(path.Argument));
    }

    private Task BlobAsync(HttpContext context, RequestAccess access, RegistryPath path)
    {
        switch (context.Request.Method)
        {
            case "GET" or "HEAD":
                access.Demand(path.Repository, RegistryAction.Pull);
                return blobs.GetAsync(context, path.Repository, ParseDigest(path.Argument));
            case "DELETE":
                access.Demand(path.Repository, RegistryAction.Delete);
                return blobs.DeleteAsync(context, path.Repository, ParseDigest(path.Argument));
            default:
                return NotAllowedAsync(context, "GET, HEAD, DELETE");
        }
    }

    private Task UploadAsync(HttpContext context, RequestAccess access, RegistryPath path)
    {
        string method = context.Request.Method;
        bool start = path.Route == RegistryRoute.UploadStart;
        if (start ? method != "POST" : method is not ("GET" or "PATCH" or "PUT" or "DELETE"))
        {
            return NotAllowedAsync(context, start ? "POST" : "GET, PATCH, PUT, DELETE");
        }

        DemandPush(access, path.Repository);
        return method switch
        {
            "POST" => uploads.StartAsync(context, path.Repository, access),
            "PATCH" => uploads.AppendAsync(context, path.Repository, path.Argument),
            "PUT" => uploads.FinishAsync(context, path.Repository, path.Argument),
            "DELETE" => uploads.CancelAsync(context, path.Repository, path.Argument),
            _ => uploads.StatusAsync(context, path.Repository, path.Argument),
        };
    }

    private Task ManifestAsync(HttpContext context, RequestAccess access, RegistryPath path)
    {
        switch (context.Request.Method)
        {
            case "GET" or "HEAD":
                access.Demand(path.Repository, RegistryAction.Pull);
                return manifests.GetAsync(context, path.Repository, path.Argument);
            case "PUT":
                DemandPush(access, path.Repository);
                return manifests.PutAsync(context, path.Repository, path.Argument, access);
            case "DELETE":
                access.Demand(path.Repository, RegistryAction.Delete);
                return manifests.DeleteAsync(context, path.Repository, path.Argument);
            default:
                return NotAllowedAsync(context, "GET, HEAD, PUT, DELETE");
        }
    }

    private void DemandPush(RequestAccess access, string repository)
    {
        access.Demand(repository, RegistryAction.Push);
        if (mirrors.Covers(repository))
        {
            throw new BerthException(
                ErrorCode.Forbidden, $"{repository} is a cache of another registry: push to that one.");
        }
    }

    private static RegistryScope? ScopeOf(RegistryPath path, string method) => path.Route switch
    {
        RegistryRoute.Catalog => RegistryScope.Catalog,
        _ when !ImageReference.IsRepository(path.Repository) => null,
        RegistryRoute.UploadStart or RegistryRoute.Upload => RegistryScope.For(path.Repository, RegistryAction.Push),
        _ => RegistryScope.For(
            path.Repository,
            method switch
            {
                "GET" or "HEAD" => RegistryAction.Pull,
                "DELETE" => RegistryAction.Delete,
                _ => RegistryAction.Push,
            }),
    };

    // A proxy in front that ends TLS says so, in HTTP/2 by the scheme itself. Believed from anybody: it only decides
    // where whoever says it is sent.
    private static string SchemeOf(HttpRequest request) =>
        request.Headers["X-Forwarded-Proto"] == "https" || request.IsHttps ? "https" : "http";

    private Task ChallengeAsync(HttpContext context, ChallengeException challenge)
    {
        // As it came, which Kestrel has looked at: HostString's own conversion throws for labels that no name can have.
        string address = $"{SchemeOf(context.Request)}://{context.Request.Host.Value}";
        string header = $"Bearer realm=\"{address}/v2/token\",service=\"berth\"";
        header += challenge.Scope is null ? "" : $",scope=\"{challenge.Scope}\"";
        header += challenge.Error is null ? "" : $",error=\"{challenge.Error}\"";
        context.Response.Headers.WWWAuthenticate = header;
        return OciErrors.WriteAsync(
            context, 401, "UNAUTHORIZED",
            "A token is needed: log in with any user name and a Berth token as the password.");
    }

    private async Task EndBrokenAsync(HttpContext context, Exception e)
    {
        Log.BodyBroken(logger, context.Request.Method, context.Request.Path, e.Message);
        if (context.Response.HasStarted || context.RequestAborted.IsCancellationRequested)
        {
            context.Abort();
            return;
        }

        int status = e is BadHttpRequestException bad ? bad.StatusCode : 400;
        await OciErrors.WriteAsync(
            context, status, status == 413 ? "SIZE_INVALID" : "BLOB_UPLOAD_INVALID",
            $"The request's body is not usable ({ReasonPhrases.GetReasonPhrase(status)}): {e.Message}");
    }
}
