using Berth.Api.Access;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Berth.Registry.Access;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Access;

/// <summary>Makes, lists and revokes tokens; for administrators.</summary>
internal sealed class TokenEndpoints(TokenStore tokens)
{
    private const int MaxGrants = 100;

    private static readonly TimeSpan LeastLife = TimeSpan.FromMinutes(1);

    public Task ListAsync(HttpContext context) =>
        JsonBody.WriteAsync(context, new TokenList(tokens.List()), AccessJson.Default.TokenList);

    public async Task CreateAsync(HttpContext context)
    {
        TokenRequest wanted = await JsonBody.ReadAsync(context, AccessJson.Default.TokenRequest);
        if (!Roles.TryParse(wanted.Role ?? "user", out Role role))
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"There is no role '{Quoted.Of(wanted.Role)}'; the roles are {Roles.Names}.");
        }

        TimeSpan? life = wanted.ExpiresIn is null ? null : Duration.Parse(wanted.ExpiresIn);
        if (life < LeastLife)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"expiresIn = '{wanted.ExpiresIn}' is too short: a token lives for at least 1m.");
        }

        if (role == Role.Robot != wanted.Repositories is { Count: > 0 and <= MaxGrants })
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"A token of the role robot, and no other, says in repositories what it may do where (1 to {MaxGrants} "
                + "such as team/*:pull,push).");
        }

        // Read once before it is kept: what can't be read would let nobody in.
        _ = wanted.Repositories?.Select(RepositoryGrant.Parse).ToArray();
        TokenCreated created = await tokens.CreateAsync(
            wanted.Name ?? "", role, life, wanted.Repositories, context.RequestAborted);
        context.Response.Headers.CacheControl = "no-store";
        await JsonBody.WriteAsync(context, created, AccessJson.Default.TokenCreated, StatusCodes.Status201Created);
    }

    public async Task RevokeAsync(HttpContext context)
    {
        // What was begun is brought to its end, whether its caller waits or not.
        await tokens.RevokeAsync((string)context.Request.RouteValues["id"]!, CancellationToken.None);
        context.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
